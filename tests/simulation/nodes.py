"""A node as a process: real bridges under a real supervisor, with agent programs that only pretend.

What a program was told, and which turns it finished, is compared with what was said: no message is lost, and none is in
two finished turns, unless the node was killed between the end of a turn and the record of it.
"""

import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from bridge import limits
from bridge.config import (
    AgentSettings,
    AttachmentConfig,
    BrakeSettings,
    RoomBinding,
    RuntimeConfig,
    RuntimeKind,
    ServerLink,
    WakePolicy,
    WakeRule,
)
from bridge.dead_letters import FILE_NAME as DEAD_LETTERS
from bridge.ledger import FILE_NAME, LedgerFile
from bridge.loop import run_attachment
from bridge.runtimes.runtime import Runtime, Turn, TurnFailed
from moltnet.client.api import open_client
from moltnet.client.errors import ClientError
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode
from moltnet.log import leaves_of
from moltnet.protocol.codec import decode
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, RoomId, event_id_of_message
from moltnet.protocol.messages import AGENT, Actor, Message, Part, PartKind, SendMessageRequest, TargetKind
from node.config import NodeConfig
from node.supervisor import run_node
from tests.fakes.network import secret_of
from tests.simulation import seams
from tests.simulation.actors import PATIENCE_SECONDS, to_room
from tests.simulation.hosts import STOP_SECONDS, ServerHost
from tests.simulation.judge import Judge
from tests.simulation.trace import Trace
from tests.simulation.truth import Truth
from tests.simulation.wires import Wires, host_name

_MESSAGE_ID = "Message ID: "
READY_SECONDS = 60.0


@attrs.define(eq=False)
class Programs:
    """All agent programs of a node, over all its lives."""

    host: ServerHost
    truth: Truth
    judge: Judge
    trace: Trace
    rng: random.Random
    room_id: str
    longest_seconds: float
    trouble: float = 0.0
    """How often a turn fails, while things break."""
    finished: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """By agent and message, how many turns with it came to their end."""
    excused: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """How many of these the node could not record, because it was killed."""
    unrecorded: dict[tuple[str, str], list[str]] = attrs.field(factory=dict)
    """By agent and conversation, messages of turns that have ended and that the node has not called finished yet."""

    @asynccontextmanager
    async def open(self, config: AttachmentConfig) -> AsyncIterator[Runtime]:
        yield _Program(self, config.agent.id)

    def hear(self, _host: str, record: logging.LogRecord) -> None:
        """The node says that a turn is finished when that is on disk."""
        fields = getattr(record, "fields", {})
        if record.getMessage() == "turn finished":
            self.unrecorded.pop((str(fields.get("agent_id")), str(fields.get("conversation"))), None)

    def excuse_unrecorded(self) -> None:
        """The node was killed."""
        for (agent_id, _), message_ids in self.unrecorded.items():
            for message_id in message_ids:
                self.excused[agent_id, message_id] += 1
        self.unrecorded.clear()

    def note_finished(self, agent_id: str, message_id: str) -> None:
        self.finished[agent_id, message_id] += 1
        times = self.finished[agent_id, message_id] - self.excused[agent_id, message_id]
        self.judge.demand(times <= 1, 8, f"{message_id} was in {times} finished turns of {agent_id}")


@attrs.frozen
class _Program:
    _programs: Programs
    _agent_id: str

    async def run_turn(self, turn: Turn) -> None:
        programs = self._programs
        message_ids = [line[len(_MESSAGE_ID) :] for line in turn.prompt.splitlines() if line.startswith(_MESSAGE_ID)]
        programs.trace.note("turn begins", self._agent_id, *message_ids)
        await trio.sleep(programs.rng.uniform(0, programs.longest_seconds))
        if programs.rng.random() < programs.trouble:
            programs.trace.note("turn fails", self._agent_id, *message_ids)
            raise TurnFailed("says the simulation", retryable=True)
        if programs.rng.random() < 0.3:
            await self._answer(message_ids[-1])
        for message_id in message_ids:
            programs.note_finished(self._agent_id, message_id)
        programs.unrecorded.setdefault((self._agent_id, turn.conversation.key), []).extend(message_ids)
        programs.trace.note("turn ends", self._agent_id, *message_ids)

    async def _answer(self, message_id: str) -> None:
        programs = self._programs
        answer = SendMessageRequest(
            id=f"{self._agent_id}.re.{message_id}",
            target=to_room(programs.room_id),
            sender=Actor(type=AGENT, id=self._agent_id),
            parts=(Part(kind=PartKind.TEXT, text=f"answer to {message_id}"),),
        )
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                async with open_client(programs.host.url, secret_of(self._agent_id), environ={}) as client:
                    accepted = await client.send(answer)
        except (ClientError, trio.TooSlowError) as error:
            raise TurnFailed(f"could not answer: {error}", retryable=True) from error
        programs.judge.accepted(programs.truth, accepted.message_id, accepted.event_id)


@attrs.define(eq=False)
class NodeHost:
    """A node, one life after another, with its state on disk."""

    name: str
    agent_ids: tuple[str, ...]
    directory: Path
    programs: Programs
    wires: Wires
    trace: Trace
    judge: Judge
    rng: random.Random
    slowest_disk_seconds: float = 0.0
    retired: bool = False
    places: dict[str, int] = attrs.field(factory=dict)
    """After which event each agent must be told of everything that mentions it."""
    _dead: bool = True
    _drain: trio.Event = attrs.field(factory=trio.Event)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def is_dead(self) -> bool:
        return self._dead

    async def run(self) -> None:
        while not self.retired:
            await self._live()
            if not self.retired:
                await trio.sleep(self.rng.uniform(0.1, 4.0))

    async def wait_ready(self) -> None:
        """Until every agent has its place in the log on disk."""
        with trio.fail_after(READY_SECONDS):
            for agent_id in self.agent_ids:
                while not (ledger := self._ledger(agent_id)) or not ledger.cursor:  # noqa: ASYNC110 - it is a file
                    await trio.sleep(0.1)
                place = self.programs.truth.seq_of.get(ledger.cursor)
                self.judge.demand(
                    place is not None, 1, f"{agent_id} begins after {ledger.cursor}, which is not committed"
                )
                self.places[agent_id] = place or 0

    async def _live(self) -> None:
        host_name.set(self.name)
        self._dead, self._drain, self._scope = False, trio.Event(), trio.CancelScope()
        self.trace.note("starts", self.name)
        try:
            with self._scope, seams.work_of(self._thread):
                await run_node(
                    self._config(),
                    drain=self._drain,
                    environ={},
                    run_attachment=partial(run_attachment, open_runtime=self.programs.open),
                )
        except* OSError as group:
            if not self._dead:
                self.judge.break_off(f"{self.name} ended: {', '.join(map(str, leaves_of(group)))}")
        finally:
            self._dead = True
        self.trace.note("ended", self.name)

    async def _thread(self) -> None:
        await trio.sleep(0 if self._dead else self.rng.uniform(0, self.slowest_disk_seconds))
        if self._dead:
            raise OSError("the process is dead")

    def kill(self) -> None:
        """As SIGKILL does."""
        if self._dead:
            return
        self.trace.note("killed", self.name)
        self._dead = True
        self.wires.kill(self.name)
        self.programs.excuse_unrecorded()
        self._scope.cancel(reason="killed")

    async def ask_to_stop(self) -> None:
        """As SIGTERM does; returns when it has ended."""
        self.trace.note("asked to stop", self.name)
        scope = self._scope
        self._drain.set()
        with trio.move_on_after(STOP_SECONDS + limits.STOP_SECONDS) as stopping:
            while not self._dead and self._scope is scope:  # noqa: ASYNC110 - it may also be killed
                await trio.sleep(0.1)
        if stopping.cancelled_caught:
            self.judge.break_off(f"guarantee 6: {self.name} does not stop")

    def unsettled(self) -> str:
        """What an agent has not been told of, or what is not finished."""
        for agent_id, place in self.places.items():
            letters = self.directory / agent_id / DEAD_LETTERS
            given_up = letters.read_text() if letters.exists() else ""
            for message in self.programs.truth.messages.values():
                is_done = self.programs.finished[agent_id, message.id] or message.id in given_up
                if self._wakes(agent_id, place, message) and not is_done:
                    return f"{agent_id} has not finished a turn with {message.id}"
        return ""

    def _wakes(self, agent_id: str, place: int, message: Message) -> bool:
        if self.programs.truth.seq_of[event_id_of_message(message.id)] <= place:
            return False
        is_here = message.target.kind == TargetKind.ROOM and message.target.room_id == self.programs.room_id
        is_own = message.sender.id == agent_id
        return is_here and not is_own and agent_fqid(self.programs.truth.network_id, agent_id) in message.mentions

    def _ledger(self, agent_id: str) -> LedgerFile | None:
        path = self.directory / agent_id / FILE_NAME
        return decode(path.read_bytes(), LedgerFile) if path.exists() else None

    def _config(self) -> NodeConfig:
        return NodeConfig(
            tuple(self._attachment(agent_id) for agent_id in self.agent_ids),
            self.directory / "MoltnetNode",
            self.directory / "state",
            parallel_turns=4,
        )

    def _attachment(self, agent_id: str) -> AttachmentConfig:
        token = TokenSource(inline=Secret(secret_of(agent_id)))
        return AttachmentConfig(
            agent=AgentSettings(AgentId(agent_id), agent_id.title()),
            server=ServerLink(self.programs.host.url, self.programs.truth.network_id, AuthMode.BEARER, token),
            runtime=RuntimeConfig(kind=RuntimeKind.COMMAND, command=("/bin/true",)),
            rooms=(RoomBinding(RoomId(self.programs.room_id), WakeRule(WakePolicy.MENTIONS)),),
            brakes=BrakeSettings(cooldown_seconds=0.1, turns_per_hour=limits.MAX_TURNS_PER_HOUR),
            state_dir=self.directory / agent_id,
        )
