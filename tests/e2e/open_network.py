"""The network of the guide for public open networks, with the guide's own files, its operator, strangers and nodes."""

import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import orjson
import trio

from tests.docs.pages import DOCS, Page
from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, POLL_SECONDS, Program, Server, running
from tests.fakes.http_client import EventSource, HttpAnswer, HttpClient
from tests.fakes.ports import free_port

GUIDE = Page.read(DOCS / "guides" / "public-open-networks.md")
PUBLIC_URL = "https://noopolis.example"

# Answers what is asked, once, and nothing else: two agents that hear each other must come to an end.
PROGRAM = """\
#!/bin/sh
question=$(grep -m1 '^> .*?$') || exit 0
exec moltnet send --target room:agora --text "$(basename "$0") heard ${question#> }"
"""


@attrs.frozen
class OpenNetwork:
    """The files of the guide in two directories, for a server and for a node, at an address of this machine."""

    directory: Path
    server: Server
    admin_token: str
    pair_token: str

    @property
    def node_directory(self) -> Path:
        return self.directory / "node"

    def token_file(self, agent_id: str) -> Path:
        return self.node_directory / ".moltnet" / f"{agent_id}.token"

    def token(self, agent_id: str) -> str:
        return self.token_file(agent_id).read_text().strip()

    def edit(self, file: str, *changes: tuple[str, str]) -> None:
        """Replace texts in `Moltnet` or `MoltnetNode`; each must be there."""
        path = (self.node_directory if file == "MoltnetNode" else self.server.directory) / file
        text = path.read_text()
        for old, new in changes:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text)

    async def ask(
        self, method: str, target: str, body: object = None, *, token: str = "", **headers: str
    ) -> HttpAnswer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"Authorization": f"Bearer {token}"} if token else {}
        return await HttpClient(self.server.url).request(method, target, body, headers=fields)

    def stream(self, token: str = "") -> AbstractAsyncContextManager[EventSource]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return HttpClient(self.server.url).stream_events(headers=headers)

    async def claim(self, agent_id: str) -> str:
        """Claim an id as anybody may; its token."""
        answer = await self.ask("POST", "/v1/agents/register", {"requested_agent_id": agent_id})
        assert answer.status == 201, answer
        return str(answer.json()["agent_token"])

    async def say(self, agent_id: str, text: str, token: str, room: str = "agora") -> HttpAnswer:
        return await self.ask("POST", "/v1/messages", said(agent_id, text, room), token=token)

    async def texts(self, room: str = "agora") -> list[tuple[str, str]]:
        """Who said what, as anybody reads it."""
        answer = await self.ask("GET", f"/v1/rooms/{room}/messages")
        assert answer.status == 200, answer
        messages = answer.json()["messages"]
        return [(message["from"]["id"], message["parts"][0]["text"]) for message in messages]

    async def wait_texts(self, *wanted: tuple[str, str]) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            while not set(wanted) <= set(await self.texts()):
                await trio.sleep(POLL_SECONDS)

    async def agent_ids(self) -> list[str]:
        """All registered agents, as the operator sees them."""
        answer = await self.ask("GET", "/v1/credentials", token=self.admin_token)
        assert answer.status == 200, answer
        return [each["agent_id"] for each in answer.json()["credentials"]]

    @asynccontextmanager
    async def node(self, *, log: str = "node.log", **environment: str) -> AsyncIterator[Program]:
        """The node of `MoltnetNode`, until the block is left."""
        directory = self.node_directory
        async with running(
            "node", "start", directory=directory, log_path=directory / log, environment=environment
        ) as program:
            yield program

    async def run(
        self, *arguments: str | Path, at: Path | None = None, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `moltnet ARGUMENTS` to its end, by default in the server's directory."""
        command = [str(MOLTNET), *map(str, arguments)]
        directory = at or self.server.directory
        # The address is in the environment, as a supervisor would have it.
        variables = {**os.environ, **self.server.environment, **environment}
        call = partial(
            subprocess.run,
            command,
            cwd=directory,
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        result: subprocess.CompletedProcess[str] = await trio.to_thread.run_sync(call)
        return result


def said(agent_id: str, text: str, room: str = "agora") -> dict[str, Any]:
    return {
        "target": {"kind": "room", "room_id": room},
        "from": {"type": "agent", "id": agent_id},
        "parts": [{"kind": "text", "text": text}],
    }


def open_network_of_the_guide(directory: Path, dsn: str) -> OpenNetwork:
    """Carry out the guide's steps, then put this machine's addresses where the guide has public ones."""
    address = f"127.0.0.1:{free_port()}"
    node = directory / "node"
    node.mkdir(parents=True)
    variables = {"DATABASE_PASSWORD": "not-used-here"}
    subprocess.run(["bash", "-eu", "-c", GUIDE.setup()], cwd=directory, env={**os.environ, **variables}, check=True)
    (directory / "MoltnetNode").rename(node / "MoltnetNode")
    server = Server(directory, f"http://{address}", {"MOLTNET_LISTEN_ADDR": address})
    tokens = dict(re.findall(r"id: (\S+)\n\s+value: (\S+)", (directory / "Moltnet").read_text()))
    network = OpenNetwork(directory, server, tokens["operator-admin"], tokens["inbound-pairing"])
    network.edit("Moltnet", ("postgres://moltnet:not-used-here@db:5432/moltnet", dsn))
    network.edit("MoltnetNode", (PUBLIC_URL, server.url))
    for name in ("luna", "atlas"):
        program = node / f"{name}.sh"
        program.write_text(PROGRAM)
        program.chmod(0o755)
    return network


def json_of(result: "subprocess.CompletedProcess[str]") -> Any:
    """The JSON that a command printed."""
    assert result.returncode == 0, result.stderr
    return orjson.loads(result.stdout)


def no_token_was_written(network: OpenNetwork) -> None:
    """Whatever a test did: no token is in anything that was written for people to read."""
    for log in network.directory.rglob("*.log"):
        text = log.read_text(errors="replace").replace("magt_v1_***", "")
        for secret in ("magt_v1_", network.admin_token, network.pair_token):
            assert secret not in text, log
