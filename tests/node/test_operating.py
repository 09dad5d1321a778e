"""Operating a node as people do: real processes, a file that is edited, signals, commands in another shell."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from moltnet.protocol.events import Event
from tests.fakes.attach_server import AttachServer, open_attach_server
from tests.fakes.messages import created, message, sender
from tests.fakes.process_watch import MARK_NAME, ProcessWatch, watch_processes

pytestmark = pytest.mark.slow


@pytest.fixture
async def server() -> AsyncIterator[AttachServer]:
    async with open_attach_server() as server:
        yield server


@attrs.define(eq=False)
class Host:
    """A directory with a node file, and the shell of whoever runs it."""

    directory: Path
    server: AttachServer
    document: dict[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        link = {"base_url": self.server.base_url, "network_id": "net"}
        self.document = {"version": "moltnet.node.v1", "moltnet": link, "attachments": []}

    def add(self, agent_id: str, script: str, **keys: object) -> None:
        (self.directory / agent_id).mkdir(exist_ok=True)
        runtime = {"kind": "command", "command": ["/bin/sh", "-c", script], "workspace_path": agent_id}
        entry = {"agent": {"id": agent_id}, "runtime": runtime, "rooms": [{"id": "general"}], **keys}
        self.document["attachments"].append(entry)

    def write(self) -> None:
        (self.directory / "MoltnetNode").write_text(json.dumps(self.document))

    @asynccontextmanager
    async def running(self, **environ: str) -> AsyncIterator[trio.Process]:
        self.write()
        with (self.directory / "log").open("ab") as log:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "moltnet.cli.main", "node"],
                cwd=self.directory,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()

    async def moltnet(self, *words: str) -> tuple[int, str, str]:
        """Run a command of `moltnet node`; its exit code and what it printed."""
        done = await trio.run_process(
            [sys.executable, "-m", "moltnet.cli.main", "node", *words],
            cwd=self.directory,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    async def status(self) -> dict[str, Any]:
        code, out, err = await self.moltnet("status", "--json")
        assert (code, err) == (0, "")
        attachments = json.loads(out)["attachments"]
        return {each["agent_id"]: each for each in attachments}

    def log(self) -> str:
        return (self.directory / "log").read_text()


@pytest.fixture
def host(tmp_path: Path, server: AttachServer) -> Host:
    return Host(tmp_path, server)


def said(message_id: str = "msg_1", **given: Any) -> Event:
    return created(message(message_id, sender=sender("someone"), **given))


async def wait_for(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - another process can't set an event of ours
            await trio.sleep(0.02)


async def test_a_node_is_asked_changed_and_reloaded_while_it_runs(host: Host, server: AttachServer) -> None:
    host.add("alpha", "cat >> heard")
    host.add("beta", "cat >> heard")
    assert (await host.moltnet("status"))[0] == 2
    async with host.running() as process:
        await server.wait_attached(2)
        server.publish(wake := said())
        await server.wait_until(lambda server: server.acked.count(wake.id) == 2)
        before = await host.status()
        assert {name: each["state"] for name, each in before.items()} == {"alpha": "attached", "beta": "attached"}
        assert before["alpha"]["cursor"] == wake.id
        assert [turn["outcome"] for turn in before["alpha"]["last_turns"]] == ["finished"]
        code, out, err = await host.moltnet("logs", "--agent", "alpha", "--json")
        assert (code, err) == (0, "")
        assert [json.loads(line)["event"] for line in out.splitlines()] == ["attached", "turn started", "turn finished"]
        shown = (await host.moltnet("logs", "--last", "1", "--level", "info"))[1]
        assert shown.rstrip("\n") in host.log()
        assert (await host.moltnet("logs", "--agent", "nobody"))[0] == 4

        host.document["attachments"][1]["agent"]["name"] = "Beta the Second"
        host.add("gamma", "cat >> heard")
        host.write()
        code, out, err = await host.moltnet("reload")
        assert (code, out, err) == (0, "reloaded: added gamma; restarted beta; 1 unchanged\n", "")
        await server.wait_attached(4)
        alpha, *_ = (peer for peer in server.peers if peer.identified and peer.identified.agent.id == "alpha")
        assert not alpha.gone.is_set()

        (host.directory / "MoltnetNode").write_text("attachments: [")
        code, out, err = await host.moltnet("reload")
        assert (code, out) == (2, "")
        assert "nothing was changed, the file has problems" in err
        assert set(await host.status()) == {"alpha", "beta", "gamma"}

        del host.document["attachments"][1:]
        host.write()
        process.send_signal(signal.SIGHUP)
        await wait_for(lambda: host.log().count("reloaded ") == 2)
        code, out, _ = await host.moltnet("status")
        assert code == 0
        assert "alpha (net, command): attached" in out
        async with trio.open_nursery() as nursery:
            follower: trio.Process = await nursery.start(
                partial(
                    trio.run_process,
                    [sys.executable, "-m", "moltnet.cli.main", "node", "logs", "--follow", "--json"],
                    cwd=host.directory,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            assert follower.stdout is not None
            followed = (await follower.stdout.receive_some()).decode()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            # It ends with the node, and that is no failure.
            assert await follower.wait() == 0
        assert '"event": "node starting"' in followed
    assert (await host.moltnet("logs", "--follow"))[0] == 6
    code, _, err = await host.moltnet("status")
    assert (code, err) == (6, f"moltnet node: no node of {host.directory}/MoltnetNode is running\n")
    assert "Traceback" not in host.log()


async def test_dead_letters_are_handled_while_the_node_runs_and_while_it_does_not(
    host: Host, server: AttachServer
) -> None:
    # Output without end is a failure that no second try can mend.
    host.add("alpha", "test -e ../well && cat >> heard || yes")
    async with host.running() as process:
        await server.wait_attached()
        server.publish(*(wakes := [said("msg_1", text="one"), said("msg_2", room="other")]))
        await server.wait_acked(wakes[0])
        code, out, _ = await host.moltnet("dead-letters", "list")
        assert code == 0
        assert out.startswith(f"{wakes[0].id}  alpha  net:room:general")
        (host.directory / "well").touch()
        assert await host.moltnet("dead-letters", "retry", "msg_1") == (0, f"to be tried again: {wakes[0].id}\n", "")
        heard = host.directory / "alpha" / "heard"
        await wait_for(lambda: heard.exists() and "> one" in heard.read_text())
        assert await host.moltnet("dead-letters", "list") == (0, "", "")
        (host.directory / "well").unlink()
        server.publish(third := said("msg_3", text="three"))
        await server.wait_acked(third)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert (await host.moltnet("dead-letters", "drop", "msg_9"))[0] == 4
    assert (await host.moltnet("dead-letters", "drop"))[0] == 2
    (host.directory / "well").touch()
    assert (await host.moltnet("dead-letters", "retry", "--all", "--agent", "alpha"))[0] == 0
    async with host.running():
        await wait_for(lambda: "> three" in heard.read_text())
        assert json.loads((await host.moltnet("dead-letters", "list", "--json"))[1])[0]["letters"] == []


async def test_a_node_ends_while_somebody_holds_its_socket_and_leaves_no_process(
    host: Host, server: AttachServer
) -> None:
    """And systemd hears of all of it."""
    host.add("alpha", "touch begun; trap '' TERM; sleep 1000 & wait; sleep 1000", brakes={"parallel_turns": 1})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, watch_processes() as watch:
        manager.bind(str(host.directory / "notify"))
        environ = {
            "NOTIFY_SOCKET": str(host.directory / "notify"),
            "WATCHDOG_USEC": "200000",
            MARK_NAME: watch.mark,
        }
        async with host.running(**environ) as process:
            await server.wait_attached()
            server.publish(said())
            await wait_for(lambda: (host.directory / "alpha" / "begun").exists())
            path = host.directory / ".moltnet" / "node" / ".moltnetnode.sock"
            async with await trio.open_unix_socket(str(path)):
                process.send_signal(signal.SIGTERM)
                await wait_for(lambda: "draining" in host.log())
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
            await ProcessWatch(watch.mark).wait_gone()
        manager.setblocking(False)
        told: list[str] = []
        with suppress(BlockingIOError):
            while True:
                told += manager.recv(4096).decode().splitlines()
        assert told[0] == "READY=1"
        assert "WATCHDOG=1" in told
        assert "STOPPING=1" in told
