"""Two networks paired with two commands: real servers, real files, the guide's own words."""

import os
import subprocess
from pathlib import Path

import orjson
import pytest
import trio

from moltnet.cli.exit_codes import ExitCode
from moltnet.client.api import open_client
from moltnet.pairing.code import parse_code
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from moltnet.protocol.pages import PageRequest
from tests.docs.pages import DOCS, Page
from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, POLL_SECONDS, Server
from tests.fakes.network import secret_of
from tests.fakes.ports import free_port

pytestmark = pytest.mark.slow


def network(directory: Path, network_id: str) -> Server:
    """A network in mode bearer with a room, and a file full of comments."""
    directory.mkdir(parents=True)
    port = free_port()
    path = directory / "Moltnet"
    path.write_text(
        f"""\
# The network {network_id}, by hand.
version: moltnet.v1
network: {{id: {network_id}, name: Network {network_id}}}
server:
  listen_addr: "127.0.0.1:{port}"  # nobody else
auth:
  mode: bearer
  tokens:
    - id: ops  # ours
      value: {secret_of(network_id)}
      scopes: [admin, observe, write]
storage: {{kind: sqlite, sqlite: {{path: moltnet.db}}}}
rooms:
  - id: general
    members: [ada, "net_a:ada", "net_b:ada"]
pairings: []  # soon
"""
    )
    path.chmod(0o600)
    return Server(directory, f"http://127.0.0.1:{port}")


def moltnet(server: Server, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MOLTNET, *arguments],
        cwd=server.directory,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


async def status_of(server: Server, network_id: str) -> list[tuple[str, str]]:
    async with open_client(server.url, secret_of(network_id)) as client:
        return [(each.id, each.status) for each in (await client.pairings()).pairings]


async def wait_status(server: Server, network_id: str, *wanted: tuple[str, str]) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while await status_of(server, network_id) != list(wanted):
            await trio.sleep(POLL_SECONDS)


async def test_two_commands_pair_two_running_networks_and_they_talk(tmp_path: Path) -> None:
    a, b = network(tmp_path / "a", "net_a"), network(tmp_path / "b", "net_b")
    async with a.run() as serving_a, b.run() as serving_b:
        invited = await trio.to_thread.run_sync(moltnet, a, "pair", "invite", "--rooms", "general", "--allow-private")
        assert invited.returncode == 0, invited.stderr
        accept = ("pair", "accept", "--allow-private", "--json")
        accepted = await trio.to_thread.run_sync(lambda: moltnet(b, *accept, stdin=invited.stdout))
        assert accepted.returncode == 0, accepted.stderr
        assert orjson.loads(accepted.stdout) == {
            "network_id": "net_a",
            "network_name": "Network net_a",
            "rooms": ["general"],
        }
        await wait_status(a, "net_a", ("net_b", "connected"))
        await wait_status(b, "net_b", ("net_a", "connected"))
        for server in (a, b):
            path = server.directory / "Moltnet"
            assert path.stat().st_mode & 0o777 == 0o600
            text = path.read_text()
            assert text.startswith("# The network")
            assert "# ours" in text
            assert "# nobody else" in text
        for server, network_id, other, other_id in ((a, "net_a", b, "net_b"), (b, "net_b", a, "net_a")):
            await say(server, network_id)
            await wait_text(other, other_id, f"from {network_id}")
        secret = parse_code(invited.stdout).secret
        for where in (serving_a.log(), serving_b.log(), accepted.stderr, accepted.stdout, invited.stderr):
            assert secret not in where
            assert "PLANTED" not in where
        again = await trio.to_thread.run_sync(lambda: moltnet(b, *accept, stdin=invited.stdout))
        assert again.returncode == 0, again.stderr  # after a broken connection one may repeat it
        off = await trio.to_thread.run_sync(moltnet, b, "pairing", "disable", "net_a")
        assert off.returncode == 0, off.stderr
        await wait_status(b, "net_b", ("net_a", "disabled"))
        on = await trio.to_thread.run_sync(moltnet, b, "pairing", "enable", "net_a")
        assert on.returncode == 0, on.stderr
        await wait_status(b, "net_b", ("net_a", "connected"))
        shown = await trio.to_thread.run_sync(moltnet, b, "pairing", "test", "net_a")
        assert orjson.loads(shown.stdout)["id"] == "net_a"
        assert await serving_a.stop() == 0
        assert await serving_b.stop() == 0


async def test_what_cannot_be_accepted_changes_no_file(tmp_path: Path) -> None:
    a, b, c = (network(tmp_path / each, f"net_{each}") for each in "abc")
    before = (b.directory / "Moltnet").read_text()
    private = ("--allow-private",)

    async def run(server: Server, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return await trio.to_thread.run_sync(lambda: moltnet(server, *arguments, stdin=stdin))

    # Nobody runs at the address of A yet.
    invited = await run(a, "pair", "invite", *private)
    gone = await run(b, "pair", "accept", *private, stdin=invited.stdout)
    assert gone.returncode == ExitCode.NETWORK, gone.stderr
    assert (b.directory / "Moltnet").read_text() == before
    async with a.run():
        code = (await run(a, "pair", "invite", "--rooms", "general", *private)).stdout
        assert (await run(c, "pair", "accept", *private, stdin=code)).returncode == 0
        for arguments, text, exit_code in (
            (private, code, ExitCode.AUTH),  # used by C
            ((), code, ExitCode.USAGE),  # plain http, on this machine
            (private, "nonsense", ExitCode.USAGE),
            ((*private, "--rooms", "secret"), code, ExitCode.USAGE),
        ):
            refused = await run(b, "pair", "accept", *arguments, stdin=text)
            assert refused.returncode == exit_code, refused.stderr
            assert len(refused.stderr.strip().splitlines()[-1]) > 10
            assert (b.directory / "Moltnet").read_text() == before
        own = await run(a, "pair", "accept", *private, stdin=code)
        assert own.returncode == ExitCode.CONFLICT, own.stderr
    nowhere = await run(a, "pair", "invite", "--rooms", "attic", *private)
    assert nowhere.returncode == ExitCode.NOT_FOUND, nowhere.stderr
    public = await run(a, "pair", "invite")
    assert public.returncode == ExitCode.USAGE, public.stderr


async def say(server: Server, network_id: str) -> None:
    message = SendMessageRequest(
        target=Target(kind=TargetKind.ROOM, room_id="general"),  # type: ignore[arg-type]  # a NewType
        sender=Actor(type=HUMAN, id="ada"),
        parts=(Part(kind=PartKind.TEXT, text=f"from {network_id}"),),
    )
    async with open_client(server.url, secret_of(network_id)) as client:
        await client.send(message)


async def wait_text(server: Server, network_id: str, text: str) -> None:
    async with open_client(server.url, secret_of(network_id)) as client:
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                target = Target(kind=TargetKind.ROOM, room_id="general")  # type: ignore[arg-type]  # a NewType
                page = await client.messages(target, PageRequest(limit=50))
                if text in [message.parts[0].text for message in page.messages]:
                    return
                await trio.sleep(POLL_SECONDS)


async def test_the_guide_is_true(tmp_path: Path) -> None:
    """Its files and commands as they stand there, on other ports."""
    scripts = [block.text for block in Page.read(DOCS / "guides" / "pairing.md").blocks("sh") if "setup" in block.marks]
    ports = {"8787": str(free_port()), "8788": str(free_port())}
    environment = {**os.environ, "PATH": f"{MOLTNET.parent}:{os.environ['PATH']}"}

    def carry_out(script: str) -> None:
        for written, used in ports.items():
            script = script.replace(written, used)
        subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=120)

    files, invite, accept, *rest = scripts
    await trio.to_thread.run_sync(carry_out, files)
    lab, works = (
        Server(tmp_path / name, f"http://127.0.0.1:{ports[port]}")
        for name, port in (("lab", "8787"), ("works", "8788"))
    )
    async with lab.run(), works.run():
        for script in (invite, accept, *rest):
            await trio.to_thread.run_sync(carry_out, script)
