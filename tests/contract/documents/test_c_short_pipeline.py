"""Document C, the short description of a pipeline."""

EVENT = {
    "short_code": "k7Qz3Np",
    "timestamp": "2024-02-01T12:34:56Z",
    "ip_hash": "a1b2c3d4",
    "country": "US",
    "referrer": "twitter.com",
    "device_type": "mobile",
    "browser": "Chrome",
}


def test_the_example_is_a_click_with_all_that_it_says(at):
    at.send(EVENT)
    at.settle()
    stored = at.event(short_code="k7Qz3Np")
    assert stored["event_type"] == "click"
    assert stored["occurred_at"].startswith("2024-02-01T12:34:56")
    assert (stored["country_code"], stored["device_type"], stored["browser"]) == ("US", "mobile", "Chrome")
    assert (stored["referrer_host"], stored["channel"]) == ("twitter.com", "social")
    assert "a1b2c3d4" not in str(stored)


def test_a_hash_of_an_address_is_a_visitor(at):
    at.send([EVENT | {"short_code": "hashes", "ip_hash": each} for each in ("a", "a", "b")])
    at.settle()
    visitors = [event["visitor_id"] for event in at.events(short_code="hashes")]
    assert len(visitors) == 3
    assert len(set(visitors)) == 2


def test_an_id_of_the_client_says_more_than_a_hash(at):
    at.send([EVENT | {"short_code": "ids", "ip_hash": each, "visitor_id": "v"} for each in ("a", "b")])
    at.settle()
    assert len({event["visitor_id"] for event in at.events(short_code="ids")}) == 1


def test_a_click_of_a_code_that_a_link_has_is_the_links(at):
    link = at.link("https://example.com/c", code="kLink3C")
    at.send(EVENT | {"short_code": "kLink3C"})
    at.settle()
    stored = at.event(short_code="kLink3C")
    assert (stored["link_id"], stored["destination_url"]) == (link["id"], "https://example.com/c")
