"""What is limited together."""

from ipaddress import ip_network

import pytest

from footfall.http.limits import place


@pytest.mark.parametrize(
    "spelled",
    ["192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201::1", "2002:c000:201:ff::9"],
)
def test_one_ipv4_address_is_one_place_in_whatever_spelling(spelled):
    assert place(spelled) == "192.0.2.1"


def test_two_ipv4_addresses_behind_one_translator_are_two_places():
    assert place("64:ff9b::192.0.2.1") != place("64:ff9b::192.0.2.2")


def test_an_ipv6_network_is_one_place():
    assert place("2001:db8:1:2::1") == place("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"


def test_only_an_address_itself_is_a_trusted_proxy():
    """Anybody may have a 6to4 address with a private one in it."""
    trusted = (ip_network("10.0.0.0/8"),)
    assert place("10.1.2.3", trusted) == place("::ffff:10.1.2.3", trusted) == ""
    assert place("2002:a01:203::1", trusted) == "10.1.2.3"
