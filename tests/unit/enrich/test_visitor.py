"""Hashes of visitors and sessions."""

from footfall.enrich.visitor import client_session, client_visitor, device_hash, session_id

PINNED = (14566362888512464100, 16096184207742745701, 5087478061175274193, 6154883480332443343)
SALT, OTHER = b"a" * 32, b"b" * 32


def test_a_device_is_the_same_within_day_workspace_address_and_user_agent():
    here = device_hash(SALT, "ws_1", "192.0.2.1", "Firefox")
    assert here == device_hash(SALT, "ws_1", "192.0.2.1", "Firefox")
    others = {
        device_hash(OTHER, "ws_1", "192.0.2.1", "Firefox"),
        device_hash(SALT, "ws_2", "192.0.2.1", "Firefox"),
        device_hash(SALT, "ws_1", "192.0.2.2", "Firefox"),
        device_hash(SALT, "ws_1", "192.0.2.1", "Chrome"),
    }
    assert len(others) == 4
    assert here not in others


def test_of_ipv6_the_network_counts():
    def hashed(ip: str) -> int:
        return device_hash(SALT, "ws", ip, "ua")

    assert (
        hashed("2001:db8:1:2::1")
        == hashed("2001:db8:1:2:ffff:ffff:ffff:ffff")
        == hashed("2001:0DB8:1:2::9%eth0")
    )
    assert hashed("2001:db8:1:2::1") != hashed("2001:db8:1:3::1")
    for spelled in ("::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201:5::7"):
        assert hashed(spelled) == hashed("192.0.2.1")


def test_parts_do_not_run_into_each_other():
    assert device_hash(SALT, "ws", "1", "1ua") != device_hash(SALT, "ws", "11", "ua")


def test_kinds_of_hashes_differ():
    assert client_visitor(SALT, "x") != client_session(SALT, "x")
    assert client_visitor(SALT, "x") != client_visitor(OTHER, "x")
    assert session_id(1, 23) != session_id(12, 3)


def test_pinned_values():
    """Stored hashes outlive releases: these must never change."""
    assert device_hash(SALT, "ws", "192.0.2.1", "ua") == PINNED[0]
    assert client_visitor(SALT, "me") == PINNED[1]
    assert client_session(SALT, "now") == PINNED[2]
    assert session_id(7, 1_331_923_247_000) == PINNED[3]
