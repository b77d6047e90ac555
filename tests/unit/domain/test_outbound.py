"""Which addresses may be connected to."""

import ipaddress

import pytest

from shared.domain import outbound
from shared.domain.outbound import AllowList

NOTHING = AllowList()
METADATA = ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fe80::1", "0.0.0.0", "::"]


def allows(listed: str, address: str, host: str = "flows.test", port: int = 443) -> bool:
    return AllowList.read(listed).allows(host, ipaddress.ip_address(address), port)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
        "3ffe:ffff::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2001:0:808:808:0:0:f7f7:f7f7",  # Teredo: the client's address, inverted, stands at the end
    ],
)
def test_public_addresses_are_open_to_all(address: str) -> None:
    assert allows("", address)


@pytest.mark.parametrize(
    "address",
    [
        # this machine
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "::1",
        "::",
        # private, shared by a carrier's customers
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        # link-local and metadata
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        # groups, everybody, nobody
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "ff0e::1",
        "4000::1",
        "5f00::1",
        "100::1",
        # protocols, examples, benchmarks
        "192.0.0.9",
        "192.0.0.100",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:2::1",
        "2001:db8::1",
        "3fff::1",
        # IPv6 that carries IPv4
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:100.64.0.1",
        "::ffff:224.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:808:808:0:0:80ff:fffe",  # Teredo of 127.0.0.1
        "2001:0:808:808:0:0:f5ff:fffe",  # Teredo of 10.0.0.1
    ],
)
def test_all_others_are_refused(address: str) -> None:
    assert not allows("", address)


@pytest.mark.parametrize(
    ("listed", "address"),
    [
        ("127.0.0.0/8,::1/128", "127.9.9.9"),
        ("127.0.0.0/8, ::1/128", "::1"),
        ("10.0.5.0/24", "10.0.5.255"),
        ("10.0.5.7", "10.0.5.7"),
        ("10.0.5.0/24", "::ffff:10.0.5.1"),
        ("10.0.5.0/24", "64:ff9b::10.0.5.1"),
        ("fd12::/16", "fd12::1"),
        ("192.0.2.0/24,,", "192.0.2.9"),
    ],
)
def test_a_listed_network_is_open(listed: str, address: str) -> None:
    assert allows(listed, address)


@pytest.mark.parametrize(
    ("listed", "address"),
    [("10.0.5.0/24", "10.0.6.0"), ("10.0.5.7", "10.0.5.8"), ("127.0.0.0/8", "::1"), ("fd12::/16", "10.0.0.1")],
)
def test_a_listed_network_opens_no_other(listed: str, address: str) -> None:
    assert not allows(listed, address)


@pytest.mark.parametrize("host", ["langflow.internal", "LangFlow.Internal", "langflow.internal."])
def test_a_listed_name_may_lead_inside(host: str) -> None:
    assert allows("LANGFLOW.internal", "10.0.5.1", host)


@pytest.mark.parametrize(
    "host", ["other.internal", "langflow.internal.evil.test", "xlangflow.internal", "a.langflow.internal"]
)
def test_a_listed_name_speaks_for_no_other(host: str) -> None:
    assert not allows("langflow.internal", "10.0.5.1", host)


def test_a_name_with_a_dot_in_front_speaks_for_all_below_it() -> None:
    assert allows(".corp.internal", "10.0.5.1", "a.b.corp.internal")
    assert not allows(".corp.internal", "10.0.5.1", "corp.internal")
    assert not allows(".corp.internal", "10.0.5.1", "evilcorp.internal")


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize(
    "listed", ["0.0.0.0/0,::/0", "169.254.0.0/16,fe80::/10,fd00::/8,0.0.0.0/8,::/127", "flows.test,.test"]
)
def test_what_hands_out_credentials_is_opened_by_no_network_and_no_name(address: str, listed: str) -> None:
    assert not allows(listed, address)


@pytest.mark.parametrize(
    "address", ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "2001::5601:5601"]
)
def test_nor_in_disguise(address: str) -> None:
    assert not allows("0.0.0.0/0,::/0", address)


@pytest.mark.parametrize("address", METADATA)
def test_it_is_opened_by_itself(address: str) -> None:
    assert allows(f"10.0.0.0/8,{address}", address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
def test_lambdas_runtime_is_not_opened_with_the_rest_of_loopback(address: str) -> None:
    wide = "127.0.0.0/8,::/64,flows.test"
    assert allows(wide, address, port=9000)
    assert not allows(wide, address, port=9001)
    assert allows("127.0.0.1,127.0.0.2,::1", address, port=9001)


def test_port_9001_is_like_any_other_elsewhere() -> None:
    assert allows("", "8.8.8.8", port=9001)
    assert allows("10.0.0.0/8", "10.0.0.1", port=9001)


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.5",
        "10.0.5.1/24",
        "10.0.0.0/33",
        "300.1.1.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "fd00::/129",
        "*.internal",
        "http://langflow.internal",
        "langflow.internal:7860",
        "langflow internal",
        "langflow..internal",
        ".",
        "höst.internal",
    ],
)
def test_an_entry_that_is_nothing_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="OutboundAllow") as error:
        AllowList.read(f"10.0.0.0/8, {entry}, langflow.internal")
    assert repr(entry) in str(error.value)


@pytest.mark.parametrize("listed", ["", " ", ",", " , "])
def test_an_empty_list_lists_nothing(listed: str) -> None:
    assert AllowList.read(listed) == NOTHING


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_seen_in_all_its_spellings(host: str, address: str) -> None:
    assert outbound.literal(host) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    "host", ["localhost", "169.254.169.254.nip.io", "flows.test", "1.2.3.4.5", "256.1.1.1", "%31", ""]
)
def test_a_name_is_no_address(host: str) -> None:
    assert outbound.literal(host) is None


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://flows.test", ("flows.test", 80)),
        ("https://flows.test/langflow", ("flows.test", 443)),
        ("http://[::1]:7860", ("::1", 7860)),
    ],
)
def test_a_target_is_host_and_port(url: str, target: tuple[str, int]) -> None:
    assert outbound.target(url) == target
