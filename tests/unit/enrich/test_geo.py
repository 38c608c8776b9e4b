"""Places from files of every schema; written here with mmdb-writer over documentation networks."""

from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from footfall.enrich.geo import NOWHERE, PACKAGED, Geo, GeoReader
from footfall.errors import Misconfigured

CITY = {
    "country": {"iso_code": "GB", "names": {"en": "United Kingdom"}},
    "subdivisions": [{"iso_code": "ENG", "names": {"en": "England"}}],
    "city": {"names": {"de": "Boxfurt", "en": "Boxford"}},
    "location": {"latitude": 51.75, "longitude": -1.25, "time_zone": "Europe/London"},
}


def write(path: Path, networks: dict[str, dict], *, ip_version: int = 6) -> Path:
    writer = MMDBWriter(
        ip_version=ip_version, ipv4_compatible=ip_version == 6, database_type="test", int_type="u32"
    )
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def test_nested_records_of_maxmind(tmp_path):
    reader = GeoReader(write(tmp_path / "city.mmdb", {"192.0.2.0/24": CITY, "2001:db8::/32": CITY}))
    expected = Geo("GB", "ENG", "Boxford", 51.75, -1.25, "Europe/London", 0)
    for ip in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2001:db8::1%eth0"):
        assert reader.lookup(ip) == expected
    assert reader.build_date is not None


def test_flat_records_of_ip_location_db(tmp_path):
    flat = {
        "country_code": "us", "state1": "Massachusetts", "city": "Danvers", "latitude": "42.57",
        "longitude": "-70.95", "timezone": "America/New_York",
    }  # fmt: skip
    reader = GeoReader(write(tmp_path / "flat.mmdb", {"198.51.100.0/24": flat}))
    assert reader.lookup("198.51.100.9") == Geo(
        "US", "Massachusetts", "Danvers", 42.57, -70.95, "America/New_York", 0
    )


def test_registered_country_and_names_without_codes(tmp_path):
    record = {"registered_country": {"iso_code": "DE"}, "subdivisions": [{"names": {"en": "Hesse"}}]}
    reader = GeoReader(write(tmp_path / "x.mmdb", {"192.0.2.0/24": record}))
    assert reader.lookup("192.0.2.1")[:2] == ("DE", "Hesse")


def test_a_directory_of_split_and_complementary_files(tmp_path):
    write(tmp_path / "country-ipv4.mmdb", {"192.0.2.0/24": {"country_code": "NL"}}, ip_version=4)
    write(tmp_path / "country-ipv6.mmdb", {"2001:db8::/32": {"country_code": "FR"}})
    write(tmp_path / "networks.mmdb", {"192.0.2.0/24": {"autonomous_system_number": 64500}})
    reader = GeoReader(tmp_path)
    assert reader.lookup("192.0.2.1") == Geo("NL", asn=64500)
    assert reader.lookup("2001:db8::1") == Geo("FR")


@pytest.mark.parametrize(
    "ip",
    ["", "nonsense", "203.0.113.1", "10.0.0.1", "999.1.1.1", "::g", "%", "1.2.3", "\ud800", "192.0.2.1\0"],
)
def test_unknown_and_broken_addresses_are_nowhere(tmp_path, ip):
    reader = GeoReader(write(tmp_path / "city.mmdb", {"192.0.2.0/24": CITY}))
    assert reader.lookup(ip) == NOWHERE


@pytest.mark.parametrize(
    "record",
    [
        {"country": 7, "subdivisions": "x", "city": {"names": []}, "location": [1]},
        {"country_code": "ZZZ", "latitude": "north", "longitude": 500.0, "asn": "AS"},
        {"country": {"iso_code": "É1"}, "location": {"latitude": float("nan")}, "asn": "AS99999999999"},
    ],
)
def test_odd_records_are_nowhere(tmp_path, record):
    reader = GeoReader(write(tmp_path / "odd.mmdb", {"192.0.2.0/24": record}))
    assert reader.lookup("192.0.2.1") == NOWHERE


def test_names_are_bounded(tmp_path):
    reader = GeoReader(write(tmp_path / "x.mmdb", {"192.0.2.0/24": {"city": "x" * 5000}}))
    assert len(reader.lookup("192.0.2.1").city) == 100


def test_the_packaged_country_data():
    assert PACKAGED.exists(), "build the package once: uv sync"
    reader = GeoReader(None)
    assert reader.build_date is not None
    assert reader.lookup("193.0.6.139") == Geo("NL")  # RIPE NCC, Amsterdam
    assert reader.lookup("2003:e2::1").country_code == "DE"  # Deutsche Telekom


def test_wrong_files_stop_the_start(tmp_path):
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"not a database")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "missing.mmdb", broken, empty):
        with pytest.raises(Misconfigured, match="geo_database"):
            GeoReader(path)


def test_closed_readers_find_nothing_new(tmp_path):
    reader = GeoReader(write(tmp_path / "city.mmdb", {"192.0.2.0/24": CITY}))
    reader.close()
    assert reader.lookup("192.0.2.1") == NOWHERE


def test_a_file_of_networks_stands_beside_one_of_cities(tmp_path):
    city = write(tmp_path / "city.mmdb", {"192.0.2.0/24": CITY})
    network = {"autonomous_system_number": 64500, "autonomous_system_organization": "Acme"}
    asn = write(tmp_path / "asn.mmdb", dict.fromkeys(("192.0.2.0/23", "198.51.100.0/24"), network))
    reader = GeoReader(city, asn)
    assert reader.lookup("192.0.2.1") == Geo("GB", "ENG", "Boxford", 51.75, -1.25, "Europe/London", 64500)
    assert reader.lookup("198.51.100.1") == Geo(asn=64500)
    if PACKAGED.exists():
        assert GeoReader(None, asn).lookup("192.0.2.1").asn == 64500
    with pytest.raises(Misconfigured, match="asn_database"):
        GeoReader(None, tmp_path / "nothing.mmdb")
