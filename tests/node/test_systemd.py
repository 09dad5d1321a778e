"""What systemd hears: over a real socket, with a real node around it."""

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.config import NodeConfig
from node.service import serve_node
from node.systemd import ServiceManager
from tests.fakes.nodes import node_config


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def lines(heard: socket.socket) -> list[str]:
    """Everything that was said since the last look."""
    said: list[str] = []
    try:
        while True:
            said += heard.recv(4096).decode().splitlines()
    except BlockingIOError:
        return said


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
    heard: socket.socket, tmp_path: Path, autojump_clock: MockClock
) -> None:
    manager = ServiceManager(str(tmp_path / "notify"), 10)
    with trio.move_on_after(19):
        await manager.keep_watchdog()
    assert lines(heard) == ["WATCHDOG=1"] * 4
    await ServiceManager(str(tmp_path / "notify")).keep_watchdog()
    assert lines(heard) == []


async def test_a_service_manager_that_is_gone_harms_nothing(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "nobody")).ready("2 attachments")


async def test_a_name_without_a_file_is_reached_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{tmp_path}")
        sock.setblocking(False)
        ServiceManager(f"@{tmp_path}").stopping()
        assert lines(sock) == ["STOPPING=1", "STATUS=draining"]


async def test_a_node_says_when_it_is_ready_reloads_and_stops(heard: socket.socket, tmp_path: Path) -> None:
    config = node_config(tmp_path)
    drain = trio.Event()
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    hangups, hears = trio.open_memory_channel[None](1)

    def load() -> NodeConfig:
        return config

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_node, config, load, hears, environ, drain))
        await wait_all_tasks_blocked()
        assert lines(heard) == ["READY=1", "STATUS=0 attachments"]
        hangups.send_nowait(None)
        with trio.fail_after(10):
            while len(said := lines(heard)) < 4:  # noqa: ASYNC110 - a thread reads the file
                await trio.sleep(0.05)
        assert said[0] == "RELOADING=1"
        assert said[1].startswith("MONOTONIC_USEC=")
        assert said[2:] == ["READY=1", "STATUS=0 attachments"]
        drain.set()
    assert lines(heard)[-2:] == ["STOPPING=1", "STATUS=draining"]
