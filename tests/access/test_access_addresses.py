"""Networks, and the address behind proxies."""

import pytest

from streamkit.access.addresses import client_address, is_in, parse_network

PRIVATE = [parse_network("10.0.0.0/8"), parse_network("fd00::/8"), parse_network("192.0.2.7")]


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("fd12::1", True),
        ("[fd12::1]", True),
        ("fe80::1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("", False),
        ("localhost", False),
        ("10.1.2.3:80", False),
        ("010.1.2.3", False),
    ],
)
def test_an_address_is_in_a_network_also_when_ipv4_is_written_as_ipv6(address: str, inside: bool) -> None:
    assert is_in(address, PRIVATE) is inside


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "host", "10.0.0", "::/129"])
def test_a_network_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_network(text)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # anybody can send the header
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),  # the first entry is the client's own invention
        ("10.0.0.1", ["junk", "10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_forwarded_addresses_are_believed_as_far_as_proxies_are_trusted(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert client_address(peer, forwarded, PRIVATE) == client
