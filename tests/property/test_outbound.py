"""No address of the inside is connected to, in whatever disguise, unless the allow-list has it."""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.outbound import Address, AllowList, Network

# IANA's registries of special-purpose addresses, and multicast: what is not globally reachable.
# fmt: off
INSIDE_4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
)
INSIDE_6 = (
    "::/8", "100::/8", "64:ff9b:1::/48", "2001:2::/48", "2001:db8::/32", "3fff::/20", "4000::/2", "8000::/1",
    "fc00::/7", "fe80::/10", "ff00::/8",
)
# fmt: on
GUARDED = ("169.254.0.0/16", "fd00:ec2::/32", "fe80::/10")
PORTS = st.sampled_from([80, 443, 7860, 9001])
HOSTS = st.sampled_from(["flows.test", "localhost", "langflow.internal"])


def within(network: str) -> st.SearchStrategy[Address]:
    parsed = ipaddress.ip_network(network)
    kind = type(parsed.network_address)
    return st.integers(int(parsed[0]), int(parsed[-1])).map(kind)


def carried(address: IPv4Address) -> st.SearchStrategy[Address]:
    """`address` in one of the ways in which IPv6 carries IPv4."""
    number = int(address)
    return st.sampled_from(
        [
            address,
            IPv6Address(int(IPv6Address("::ffff:0:0")) | number),
            IPv6Address(int(IPv6Address("64:ff9b::")) | number),
            IPv6Address((0x2002 << 112) | (number << 80)),
            IPv6Address((0x2001_0000 << 96) | (0x08080808 << 64) | (number ^ 0xFFFF_FFFF)),
        ]
    )


INSIDE = st.one_of(
    st.sampled_from(INSIDE_4).flatmap(within).flatmap(carried),  # type: ignore[arg-type]
    st.sampled_from(INSIDE_6).flatmap(within).filter(lambda address: meant(address) == address),
)
NETWORKS = st.one_of(
    st.builds(
        lambda number, bits: IPv4Network((number, bits), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 31)
    ),
    st.builds(
        lambda number, bits: IPv6Network((number, bits), strict=False), st.integers(0, 2**128 - 1), st.integers(0, 127)
    ),
)


@given(address=INSIDE, host=HOSTS, port=PORTS)
def test_nothing_of_the_inside_is_open_by_itself(address: Address, host: str, port: int) -> None:
    assert not AllowList().allows(host, address, port)


@given(network=NETWORKS, address=INSIDE, port=PORTS)
def test_a_network_opens_nothing_but_its_own_addresses(network: Network, address: Address, port: int) -> None:
    listed = AllowList.read(str(network))
    if listed.allows("flows.test", address, port):
        assert meant(address) in network


@given(address=st.sampled_from(GUARDED).flatmap(within), network=NETWORKS, port=PORTS)
def test_no_network_and_no_name_opens_what_hands_out_credentials(address: Address, network: Network, port: int) -> None:
    listed = AllowList.read(f"{network},0.0.0.0/0,::/0,flows.test")
    assert not listed.allows("flows.test", address, port)
    assert AllowList.read(str(address)).allows("flows.test", address, port)


def meant(address: Address) -> Address:
    """What an address of `carried` carries."""
    if isinstance(address, IPv4Address):
        return address
    number, top = int(address), int(address) >> 96
    if number >> 32 in (0xFFFF, 0x0064_FF9B << 64):
        return IPv4Address(number & 0xFFFF_FFFF)
    if top >> 16 == 0x2002:
        return IPv4Address((number >> 80) & 0xFFFF_FFFF)
    return IPv4Address(number & 0xFFFF_FFFF ^ 0xFFFF_FFFF) if top == 0x2001_0000 else address
