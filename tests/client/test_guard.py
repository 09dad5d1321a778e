"""Where a name may lead to: every kind of address, numbers in every disguise, and names that change their mind."""

import ipaddress

import pytest
import trio

from moltnet.client.address import parse_server_address
from moltnet.client.dialing import dial
from moltnet.client.errors import ServerUnreachable
from moltnet.client.guard import AddressGuard, AddressRefused, is_named_address, literal_problem
from moltnet.client.proxies import Proxy

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
    "fec0::1",
    "192.0.0.8",
]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "192.0.0.192",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_let_pass(text: str) -> None:
    assert AddressGuard().problem(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_let_pass_only_where_they_are_allowed(text: str) -> None:
    assert AddressGuard().problem(ipaddress.ip_address(text)) is not None
    assert AddressGuard(allow_private=True).problem(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize("text", NEVER)
def test_link_local_metadata_and_impossible_addresses_are_never_let_pass(text: str) -> None:
    assert AddressGuard(allow_private=True).problem(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize(
    ("host", "is_named"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("net-b", True),
        ("net-b.", True),
        ("moltnet.chat.svc.cluster.local", True),
        ("vault.internal", True),
        ("chat.example.org", False),
        ("local.example.org", False),
        ("10.0.0.1.nip.io", False),
    ],
)
def test_a_url_names_its_place_by_a_number_or_by_a_name_that_only_we_resolve(host: str, is_named: bool) -> None:
    assert is_named_address(host) is is_named


def test_numbers_and_localhost_are_judged_before_any_lookup() -> None:
    assert literal_problem(AddressGuard(), "10.0.0.1") is not None
    assert literal_problem(AddressGuard(), "api.localhost") is not None
    assert literal_problem(AddressGuard(allow_private=True), "localhost") is None
    assert literal_problem(AddressGuard(), "chat.example.org") is None


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    asked: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        # A second answer would lead elsewhere; nobody may ask for it.
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    guard = AddressGuard(allow_private=True)
    stream, socket = await dial(parse_server_address(f"http://rebinding.test:{port}"), guard=guard, lookup=lookup)
    assert asked == ["rebinding.test"]
    assert socket.getpeername()[0] == "127.0.0.1"
    await stream.aclose()
    await listeners[0].aclose()


@pytest.mark.parametrize(
    "found", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["fe80::1%eth0"], ["::ffff:192.168.0.1"], ["nonsense"]]
)
async def test_one_address_that_is_not_allowed_refuses_the_whole_name(found: list[str]) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return found

    with pytest.raises(AddressRefused, match="allow_private_address") as caught:
        await dial(parse_server_address("https://chat.example.org"), guard=AddressGuard(), lookup=lookup)
    assert not caught.value.worth_repeating


async def test_of_several_addresses_the_first_that_answers_is_taken() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]

    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # nobody listens at the first

    guard = AddressGuard(allow_private=True)
    stream, socket = await dial(parse_server_address(f"http://two.test:{port}"), guard=guard, lookup=lookup)
    assert socket.getpeername()[0] == "127.0.0.1"
    await stream.aclose()
    await listeners[0].aclose()


async def test_a_name_without_an_address_is_unreachable() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(ServerUnreachable, match="Name or service not known"):
        await dial(parse_server_address("https://nobody.example"), guard=AddressGuard(), lookup=lookup)


async def test_behind_a_proxy_numbers_are_still_judged() -> None:
    with pytest.raises(AddressRefused):
        await dial(
            parse_server_address("http://169.254.169.254"),
            proxy=Proxy("127.0.0.1", 1),
            guard=AddressGuard(allow_private=True),
        )
