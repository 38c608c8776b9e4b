"""Names of networks from files of several schemas."""

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from footfall.errors import Misconfigured
from footfall.query.catalog.networks import Networks

pytestmark = pytest.mark.anyio


def write(path, *records):
    writer = MMDBWriter(ip_version=4, database_type="test", int_type="u32")
    for number, record in enumerate(records):
        writer.insert_network(IPSet([f"192.0.{number}.0/24"]), record)
    writer.to_db_file(str(path))
    return path


async def test_names_are_those_of_the_file(tmp_path):
    networks = Networks(
        write(
            tmp_path / "asn.mmdb",
            {"autonomous_system_number": 64500, "autonomous_system_organization": "Exämple Net"},
            {"asn": "AS64501", "as_name": "Other"},
            {"autonomous_system_number": 64502},
            {"country_code": "DE"},
            {"autonomous_system_number": 64500, "autonomous_system_organization": "Exämple Net"},
        )
    )
    assert networks.name(64500) is None  # not read yet
    await networks.load()
    assert [networks.name(asn) for asn in (64500, 64501, 64502, 0)] == ["Exämple Net", "Other", None, None]


async def test_without_a_file_nothing_is_known():
    networks = Networks(None)
    await networks.load()
    assert (networks.known, networks.name(64500)) == (False, None)


async def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "wrong.mmdb").write_text("no database")
    for path in (tmp_path / "missing.mmdb", tmp_path / "wrong.mmdb"):
        with pytest.raises(Misconfigured, match="asn_database"):
            await Networks(path).load()
