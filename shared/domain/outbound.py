"""Which addresses Spark connects to: public ones, and those that the deployment's allow-list names.

Whoever may add a source says where our functions call, and these stand inside: beside Lambda's own endpoints and, in a
VPC, beside neighbours that trust each other. The rule is about addresses, because a name leads wherever its owner
likes, and elsewhere a moment later; `shared/langflow/connection.py` asks it about each address that it connects to.
"""

import ipaddress
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = {"http": 80, "https": 443}
# A host name. It ends with a letter's label, so that 10.0.5 and 127.1 are mistakes; with a dot in front: all below it.
NAME = r"\.?([a-z0-9_-]+\.)*[a-z][a-z0-9-]*"  # not compiled: most deployments list nothing

# What `is_global` takes for public, in one release of Python or in all: protocol assignments, relays of 6to4, groups,
# examples. In IPv6 only one block is for single machines; the rest is local, for groups, or nobody's yet.
NOT_PUBLIC = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4")))
EXAMPLES = IPv6Network("3fff::/20")
SINGLE_MACHINES = IPv6Network("2000::/3")
TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: an IPv4 address in the last 32 bits

# Who answers here hands out the function's own credentials: the metadata of EC2, ECS and EKS. And this machine's other
# name, which would lead around the rule for loopback.
GUARDED: tuple[Network, ...] = (
    *map(IPv4Network, ("169.254.0.0/16", "0.0.0.0/32")),
    *map(IPv6Network, ("fe80::/10", "fd00:ec2::/32", "::/128")),
)
RUNTIME_API_PORT = 9001  # on Lambda's loopback: takes the answers of invocations, gives the events of the next ones


class AllowList(NamedTuple):
    """What may be connected to besides public addresses.

    `names` may lead to any address but a guarded one. A guarded address is allowed by an entry of its own alone: a
    network that happens to hold it was meant for its other addresses.
    """

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> "AllowList":
        """The list that a deployment's setting spells: networks, addresses and host names, separated by commas.

        Raises:
            ValueError: an entry is none of these; names it.
        """
        spelt = entries(text.lower())
        names = frozenset(entry for entry in spelt if re.fullmatch(NAME, entry))
        return cls(tuple(_network(entry) for entry in spelt if entry not in names), names)

    def allows(self, host: str, address: Address, port: int) -> bool:
        """May `address` be connected to, which `host` is or leads to?"""
        meant = _meant(address)
        holding = [network for network in self.networks if meant in network]
        if _is_guarded(meant, port):
            return any(network.num_addresses == 1 for network in holding)
        return _is_public(meant) or bool(holding) or self._names(host)

    def lists(self, host: str) -> bool:
        """Is `host` named by an entry, whether it is public or not?"""
        address = literal(host)
        return self._names(host) if address is None else any(_meant(address) in network for network in self.networks)

    def _names(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return any(host == name or (name[0] == "." and host.endswith(name)) for name in self.names)


def entries(text: str) -> list[str]:
    """The entries of a list, as they are spelt."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def target(url: str) -> tuple[str, int]:
    """Host and port of an http(s) URL that `read_url` has let pass."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def literal(host: str) -> Address | None:
    """The address that `host` spells, if it is no name; 127.1, 0x7f.1 and 2130706433 are addresses to resolvers."""
    host = host.rstrip(".")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def refusal(host: str) -> str:
    """What whoever named `host` is told. Not what it leads to: that would map the inside for those outside."""
    return (
        f"{host} is, or leads to, an address that is not public, and Spark does not connect to it. "
        "Whoever runs this deployment can name it in the parameter OutboundAllow."
    )


def _network(entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        raise ValueError(f"OutboundAllow: {entry!r} is no network, no address and no host name ({error}).") from error


def _meant(address: Address) -> Address:
    """Where a packet to `address` ends: some IPv6 addresses carry an IPv4 address and are a way to it."""
    if isinstance(address, IPv4Address):
        return address
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def _is_guarded(address: Address, port: int) -> bool:
    if address.is_loopback:
        return port == RUNTIME_API_PORT
    return any(address in network for network in GUARDED)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return address.is_global and address in SINGLE_MACHINES and address not in EXAMPLES
    return address.is_global and not any(address in network for network in NOT_PUBLIC)
