"""What systemd hears: over a real socket, from a server too."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from moltnet.systemd import ServiceManager
from tests.e2e.running import Server, running
from tests.fakes.ports import free_port
from tests.fakes.systemd import Listener, listening


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Listener]:
    with listening(tmp_path / "notify") as listener:
        yield listener


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ServiceManager()),
        ({"NOTIFY_SOCKET": "/run/x"}, ServiceManager("/run/x")),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}, ServiceManager("@x", 30.0)),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, ServiceManager("@x")),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}, ServiceManager("@x")),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, ServiceManager()),
    ],
)
def test_the_environment_says_who_wants_to_hear(environ: dict[str, str], expected: ServiceManager) -> None:
    assert ServiceManager.of_environment(environ) == expected
    assert ServiceManager.of_environment({**environ, "WATCHDOG_PID": str(os.getpid())}).address == expected.address


async def test_a_watchdog_is_fed_twice_as_often_as_it_asks_and_only_by_a_loop_that_runs(
    heard: Listener, tmp_path: Path, autojump_clock: MockClock
) -> None:
    manager = ServiceManager(str(tmp_path / "notify"), 10)
    with trio.move_on_after(19):
        await manager.keep_watchdog()
    assert heard.lines() == ["WATCHDOG=1"] * 4
    await ServiceManager(str(tmp_path / "notify")).keep_watchdog()
    assert heard.lines() == []


async def test_a_service_manager_that_is_gone_harms_nothing(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "nobody")).ready("2 attachments")


async def test_a_name_without_a_file_is_reached_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{tmp_path}")
        sock.setblocking(False)
        ServiceManager(f"@{tmp_path}").stopping()
        assert sock.recv(4096) == b"STOPPING=1\nSTATUS=draining"


CONFIG = """\
version: moltnet.v1
network: {{id: lab, name: Lab}}
server: {{listen_addr: "127.0.0.1:{port}"}}
storage: {{kind: memory}}
rooms: [{{id: {room}}}]
"""


@pytest.mark.slow
async def test_a_server_says_when_it_serves_lives_reloads_and_stops(heard: Listener, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "Moltnet"
    config.write_text(CONFIG.format(port=port, room="general"))
    server = Server(tmp_path, f"http://127.0.0.1:{port}")
    said: list[str] = []

    async def hear(line: str, times: int = 1) -> None:
        with trio.fail_after(20):
            while said.count(line) < times:
                said.extend(heard.lines())
                await trio.sleep(0.02)

    environment = {**heard.environ, "WATCHDOG_USEC": "1000000"}
    async with running("start", directory=tmp_path, log_path=tmp_path / "log", environment=environment) as program:
        await server.wait_ready(program)
        await hear("WATCHDOG=1")
        assert said[:2] == ["READY=1", "STATUS=serving lab"]
        config.write_text(CONFIG.format(port=port, room="another"))
        program.process.send_signal(signal.SIGHUP)
        await hear("READY=1", 2)
        config.write_text("network: [")
        program.process.send_signal(signal.SIGHUP)
        await hear("READY=1", 3)
        assert await program.stop() == 0
    said.extend(heard.lines())
    main = [line.partition("=")[0] for line in said if line not in ("WATCHDOG=1",)]
    assert main == ["READY", "STATUS", *["RELOADING", "MONOTONIC_USEC", "READY", "STATUS"] * 2, "STOPPING", "STATUS"]
