"""Pure: networks of addresses, and which address a request comes from behind proxies that are trusted."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
NETWORK_RULE = "an IP address or a network, such as 192.0.2.7, 10.0.0.0/8 or fd00::/8"


def parse_network(text: str) -> Network:
    """Return the network; an address is one of its own. Raises ValueError, also when bits behind the mask are set."""
    return ip_network(text)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4 one also when it is written as IPv6 (::ffff:192.0.2.7); None when it is none."""
    try:
        address = ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_in(text: str, networks: Iterable[Network]) -> bool:
    """Return whether the address is in one of the networks; what is no address is in none."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the address that a request comes from.

    `forwarded` are the entries of X-Forwarded-For, each added by the proxy behind the one before. They are believed
    from the last one on, as long as who added them is trusted: anybody can send the header.
    """
    here = peer
    for entry in reversed(forwarded):
        if not is_in(here, trusted) or parse_address(entry) is None:
            break
        here = entry.strip()
    address = parse_address(here)
    return here if address is None else str(address)
