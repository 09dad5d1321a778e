"""What a program in a sandbox reaches of the network: its server, what was declared, and nothing else."""

import socket
from collections.abc import AsyncIterator
from functools import partial

import attrs
import pytest
import trio

from bridge import limits
from bridge.sandbox_doors import Door, plan_doors
from bridge.settings import Endpoint
from tests.fakes.sandboxes import Box


@attrs.frozen
class Outside:
    """A server that answers each connection with `text` and its input, in capitals."""

    port: int
    connections: list[bytes]


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    connections: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            said = b""
            async for chunk in stream:
                said += chunk
            connections.append(said)
            await stream.send_all(said.upper())

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        yield Outside(listeners[0].socket.getsockname()[1], connections)
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_the_server_is_reached_at_its_own_address(box: Box, outside: Outside) -> None:
    box.server = Endpoint("127.0.0.1", outside.port)
    client = "import socket,sys; s=socket.create_connection((sys.argv[1],int(sys.argv[2]))); s.sendall(b'hello');"
    client += "s.shutdown(1); print(s.makefile().read())"
    ending = await box.run_python(client, "127.0.0.1", str(outside.port))
    assert ending.output == "HELLO\n", ending.errors
    assert outside.connections == [b"hello"]


async def test_a_large_transfer_and_many_at_once_come_through_whole(
    box: Box, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SANDBOX_CONNECTIONS", 2)
    box.server = Endpoint("127.0.0.1", outside.port)
    client = """
import socket, sys, threading
def talk(number):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    threading.Thread(target=lambda: (s.sendall(b"x" * 1_000_000 + b"%d" % number), s.shutdown(1))).start()
    print(len(s.makefile("rb").read()))
threads = [threading.Thread(target=talk, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    ending = await box.run_python(client, str(outside.port))
    assert ending.output.split() == ["1000001"] * 8, ending.errors
    assert sorted(said[-1:] for said in outside.connections) == [b"%d" % number for number in range(8)]


async def test_doors_that_nobody_uses_take_no_place_of_those_that_are_used(
    box: Box, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More doors than connections at the same time: each of them leads out."""
    monkeypatch.setattr(limits, "MAX_SANDBOX_CONNECTIONS", 1)
    box.server = Endpoint("127.0.0.1", outside.port)
    box.with_settings(hosts=(Endpoint("localhost", outside.port),))
    client = """
import socket, sys
for address in ("127.0.0.1", "127.0.0.1", "::1", "::1"):
    s = socket.create_connection((address, int(sys.argv[1])), timeout=5)
    s.sendall(b"hello"); s.shutdown(1); print(s.makefile().read())"""
    ending = await box.run_python(client, str(outside.port))
    assert ending.output.split() == ["HELLO"] * 4, ending.errors


async def test_nothing_else_is_reached_not_even_other_ports_of_this_host(box: Box, outside: Outside) -> None:
    with socket.socket() as other, socket.socket(socket.AF_UNIX) as abstract:
        other.bind(("127.0.0.1", 0))
        other.listen()
        abstract.bind("\0moltnet-test-abstract")
        abstract.listen()
        box.server = Endpoint("127.0.0.1", outside.port)
        python = box.show_python()
        script = f"""
for place in 127.0.0.1/{other.getsockname()[1]} 198.51.100.7/80 unknown.example/80; do
  (echo > /dev/tcp/$place) 2> /dev/null && echo reached $place
done
{python} -c 'import socket; socket.socket(socket.AF_UNIX).connect("\\0moltnet-test-abstract")' 2> /dev/null \
  && echo reached
cat /sys/class/net/*/operstate | wc -l; tail -n +3 /proc/net/dev | wc -l"""
        ending = await box.run(script)
    assert ending.output.split()[1:] == ["1"]
    assert outside.connections == []


async def test_a_declared_host_is_reached_by_name_and_by_address(box: Box, outside: Outside) -> None:
    """Whatever the address is outside: what is inside is only a door."""
    hosts = (
        Endpoint("localhost", outside.port),
        Endpoint("api.example.com", 443),
        Endpoint("203.0.113.9", 80),
        Endpoint("2001:db8::5", 80),
    )
    box.with_settings(hosts=hosts)
    places = ["localhost", "api.example.com 443", "203.0.113.9 80", "2001:db8::5 80"]
    script = "getent hosts api.example.com | cut -d' ' -f1\n" + "\n".join(
        f"(exec 3<> /dev/tcp/{place.replace(' ', '/')}) && echo '{place}'" for place in places[1:]
    )
    ending = await box.run(f"(exec 3<> /dev/tcp/localhost/{outside.port}) && echo localhost\n{script}")
    assert ending.output.splitlines() == ["localhost", "127.77.0.1", *places[1:]], ending.errors


def test_each_name_gets_a_door_of_its_own() -> None:
    endpoints = (Endpoint("a.example", 443), Endpoint("a.example", 80), Endpoint("b.example", 443), Endpoint("::1", 1))
    doors, hosts = plan_doors((*endpoints, *endpoints))
    assert doors == (
        Door(endpoints[0], "127.77.0.1"),
        Door(endpoints[1], "127.77.0.1"),
        Door(endpoints[2], "127.77.0.2"),
        Door(endpoints[3], "::1"),
    )
    assert hosts.splitlines()[2:] == ["127.77.0.1 a.example", "127.77.0.2 b.example"]


def test_two_endpoints_at_one_place_share_a_door() -> None:
    doors, _ = plan_doors((Endpoint("127.0.0.1", 80), Endpoint("localhost", 80)))
    assert [door.address for door in doors] == ["127.0.0.1", "::1"]
