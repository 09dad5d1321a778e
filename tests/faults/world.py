"""A network, a node with agents, people who speak and a reader, as real programs, and what must be left of them.

Whatever a test does to them: what was answered with 202 is stored, once and in the order in which it was told; every
agent has had a turn with each message; the reader has seen each; and no log holds an error that nobody expects.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import h11
import trio

from tests.e2e.killed_server import FROM_THE_BEGINNING, history
from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, POLL_SECONDS, Program, running
from tests.fakes.http_client import HttpClient
from tests.fakes.network import room_message, secret_of
from tests.fakes.ports import free_port

AGENTS: Final = 3
CUT: Final = (OSError, trio.BrokenResourceError, h11.RemoteProtocolError, trio.TooSlowError)
"""How a request ends that the network, or the server's end, has cut."""
# What our programs write for what went wrong.
_ERROR: Final = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) |^Traceback")


@attrs.define(eq=False)
class World:
    """``url`` is where the server is reached. Commands may run under a program of the test's: ``nsenter …``."""

    directory: Path
    host: str = "127.0.0.1"
    url_host: str = ""
    port: int = attrs.field(factory=free_port)
    server_under: Sequence[str] = ()
    node_under: Sequence[str] = ()
    server_environment: Mapping[str, str] = attrs.field(factory=dict)
    node_environment: Mapping[str, str] = attrs.field(factory=dict)
    agents: int = AGENTS
    network_id: str = "lab"
    members: str = ""
    """Of the room, beside the agents: a list in YAML without its brackets."""
    tokens: str = ""
    """More tokens, each a line of YAML of a list."""
    more: str = ""
    """More keys of the server's file."""
    wake: str = "all"
    said: list[str] = attrs.field(factory=list, init=False)
    seen: list[str] = attrs.field(factory=list, init=False)
    _number: int = attrs.field(default=0, init=False)

    @property
    def url(self) -> str:
        return f"http://{self.url_host or self.host}:{self.port}"

    @property
    def client(self) -> HttpClient:
        return HttpClient(self.url, "ops")

    def reached_at(self, host: str) -> "World":
        """The same world, whose people know the server by another name than the node does."""
        return attrs.evolve(self, url_host=host)

    def write(self) -> None:
        """The configuration of both."""
        names = [f"a{number}" for number in range(self.agents)]
        (self.directory / "server").mkdir()
        (self.directory / "node").mkdir()
        config = self.directory / "server" / "Moltnet"
        config.touch(mode=0o600)
        config.write_text(
            f"""\
version: moltnet.v1
network: {{id: {self.network_id}, name: Lab}}
server:
  listen_addr: "{self.host}:{self.port}"
  limits: {{requests_per_credential: unlimited, messages_per_credential: unlimited}}
auth:
  mode: bearer
  tokens:
    - {{id: ops, value: {secret_of("ops")}, scopes: [admin, write, observe]}}
    - {{id: node, value: {secret_of("node")}, scopes: [attach, write], agents: [{", ".join(names)}]}}
{self.tokens}storage: {{kind: sqlite, sqlite: {{path: data/moltnet.db}}}}
rooms:
  - {{id: general, name: General, members: [{", ".join(filter(None, [*names, self.members]))}]}}
{self.more}"""
        )
        node = self.directory / "node" / "MoltnetNode"
        node.touch(mode=0o600)
        for name in names:
            (node.parent / name).mkdir()
        node.write_text(
            f"""\
version: moltnet.node.v1
moltnet: {{base_url: "{self.url}", network_id: {self.network_id}, auth_mode: bearer, token: {secret_of("node")}}}
brakes: {{cooldown_seconds: 0, turns_per_hour: 3600}}
attachments:
"""
            + "".join(
                f"  - agent: {{id: {name}}}\n"
                f"    runtime: {{kind: command, command: [/bin/sh, -c, \"grep '^Message ID: ' >> turns\"], "
                f"workspace_path: {name}}}\n"
                f"    rooms: [{{id: general, wake: {self.wake}}}]\n"
                for name in names
            )
        )

    @asynccontextmanager
    async def run_server(self) -> AsyncIterator[Program]:
        """The server, ready when the block begins."""
        async with self._running("start", "server", self.server_under, self.server_environment) as program:
            with trio.fail_after(PATIENCE_SECONDS):
                while not await self._answers():
                    assert program.process.returncode is None, program.log()
                    await trio.sleep(POLL_SECONDS)
            yield program

    async def _answers(self) -> bool:
        try:
            return (await self.client.get("/healthz")).status == 200
        except CUT:
            return False

    @asynccontextmanager
    async def run_node(self) -> AsyncIterator[Program]:
        """The node, all of its agents attached when the block begins."""
        async with self._running("node start", "node", self.node_under, self.node_environment) as program:
            yield program

    @asynccontextmanager
    async def _running(
        self, command: str, name: str, under: Sequence[str], environment: Mapping[str, str]
    ) -> AsyncIterator[Program]:
        words = [*under, str(MOLTNET), *command.split()]
        async with running(
            *words[1:],
            program=Path(words[0]),
            directory=self.directory / name,
            log_path=self.directory / f"{name}.log",
            environment=environment,
        ) as program:
            yield program

    @asynccontextmanager
    async def run(self) -> AsyncIterator[tuple[Program, Program]]:
        """Server, node and a reader, until the block is left."""
        self.write()
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(self.run_server())
            node = await stack.enter_async_context(self.run_node())
            await self.wait_attached()
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(self.read)
            yield server, node
            nursery.cancel_scope.cancel()

    async def say(self, count: int = 1, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """So many messages, each until it is accepted; what was cut is sent again under its id."""
        for _ in range(count):
            self._number += 1
            await self._say(f"m{self._number}", patience_seconds)

    async def _say(self, message_id: str, patience_seconds: float) -> None:
        request = room_message(f"this is {message_id}", message_id=message_id, sender="ada", sender_type="human")
        with trio.fail_after(patience_seconds):
            while True:
                try:
                    with trio.fail_after(5):
                        answer = await self.client.post("/v1/messages", request)
                except CUT:
                    await trio.sleep(POLL_SECONDS)
                    continue
                if answer.status == 202:
                    self.said.append(message_id)
                    return
                # Asked to come again: full, or in a hurry.
                assert answer.status in (429, 503, 507), answer.body
                await trio.sleep(0.1)

    async def read(self) -> None:
        """Follow the network's events for ever, each time from where it was cut."""
        cursor = FROM_THE_BEGINNING
        while True:
            try:
                async with self.client.stream_events(last_event_id=cursor) as source:
                    while True:
                        # There is a sign of life every 15 s; a cut network says nothing.
                        with trio.fail_after(20):
                            sent = await source.next_event()
                        if sent is None:
                            break
                        if sent.type == "message.created":
                            message = sent.event["message"]
                            assert isinstance(message, dict)
                            self.seen.append(str(message["id"]))
                        if sent.type != "stream.replay_gap":
                            cursor = sent.id
            except (*CUT, AssertionError) as error:
                if isinstance(error, AssertionError) and "503" not in str(error):
                    raise
                await trio.sleep(0.2)

    def turns(self, name: str) -> set[str]:
        """The messages that an agent has had a turn with."""
        path = self.directory / "node" / name / "turns"
        lines = path.read_text().splitlines() if path.exists() else []
        return {line.removeprefix("Message ID: ") for line in lines}

    async def wait_attached(self) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                try:
                    found = (await self.client.get("/v1/agents")).json()["agents"]
                except CUT:
                    found = []
                if len([each for each in found if each.get("connected")]) == self.agents:
                    return
                await trio.sleep(POLL_SECONDS)

    async def wait_done(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Until everybody has had everything."""
        try:
            with trio.fail_after(patience_seconds):
                while not self.is_done():  # noqa: ASYNC110 - files of another process
                    await trio.sleep(POLL_SECONDS)
        except trio.TooSlowError:
            missing = {f"a{n}": sorted(set(self.said) - self.turns(f"a{n}")) for n in range(self.agents)}
            raise AssertionError(f"not read {set(self.said) - set(self.seen)}, no turns with {missing}") from None

    def is_done(self) -> bool:
        said = set(self.said)
        return said <= set(self.seen) and all(said <= self.turns(f"a{number}") for number in range(self.agents))

    async def check(self, *expected_errors: str) -> None:
        """What was accepted is there, once, in the order in which it was told, and no program has logged an error."""
        await self.wait_done()
        stored = await history(self.client, "room", "general")
        assert sorted(stored) == sorted(self.said)
        assert len(set(self.seen)) == len(self.seen), "told twice"
        assert [each for each in self.seen if each in set(stored)] == stored
        for name in ("server.log", "node.log"):
            assert self.errors(name, *expected_errors) == []

    def errors(self, name: str, *expected: str) -> list[str]:
        text = (self.directory / name).read_text(errors="replace")
        return [
            line for line in text.splitlines() if _ERROR.search(line) and not any(each in line for each in expected)
        ]
