"""When each agent was last there: when it attached, went, or said something; and what its program said of itself.

The former is known from the events that every server hears of anyway. All of it is noted in the store once a minute for
those of whom there is news: after a crash it is at most that much too early.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import attrs
import trio

from moltnet.directory import Directory
from moltnet.journal import Journal, JournalClosed
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.agents import About
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import Timestamp
from moltnet.storage.marks import NoteSeen
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError

log = get_logger("server")

_PRESENCE: Final = (EventType.AGENT_CONNECTED, EventType.AGENT_DISCONNECTED)


@attrs.define(eq=False)
class Sightings:
    """Of the registered agents of one network. All methods are synchronous."""

    directory: Directory
    _seen: dict[AgentId, Timestamp] = attrs.field(init=False, factory=dict)
    _about: dict[AgentId, About] = attrs.field(init=False, factory=dict)
    _prefix: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._prefix = agent_fqid(self.directory.network_id, "")

    def heard(self, records: Iterable[EventRecord]) -> None:
        """Events were published, after the directory knew of what they changed."""
        for record in records:
            if record.type == EventType.MESSAGE_CREATED and record.sender.startswith(self._prefix):
                self._note(AgentId(record.sender[len(self._prefix) :]), record.created_at)
            elif record.type in _PRESENCE:
                self._note(record.agent_id, record.created_at)
            elif record.type == EventType.AGENT_REMOVED:
                self._seen.pop(record.agent_id, None)
                self._about.pop(record.agent_id, None)

    def introduced(self, agent_id: AgentId, about: About) -> None:
        """An agent was attached here by a program that says this of itself."""
        if self.directory.agent(agent_id) is not None:
            self._about[agent_id] = about

    def about(self, agent_id: AgentId) -> About:
        return self._about.get(agent_id) or self.directory.about(agent_id)

    def last_seen_at(self, agent_id: AgentId) -> Timestamp:
        """Empty if nothing is known."""
        return self._seen.get(agent_id) or self.directory.last_seen_at(agent_id)

    def news(self) -> NoteSeen:
        """What is not noted in the store, as much as one command may hold."""
        seen = ((id, at) for id, at in self._seen.items() if self.directory.last_seen_at(id) != at)
        about = ((id, said) for id, said in self._about.items() if self.directory.about(id) != said)
        most = limits.MAX_NOTED_SIGHTINGS
        return NoteSeen(tuple(islice(seen, most)), tuple(islice(about, most)))

    def noted(self, news: NoteSeen) -> None:
        """It stands in the store, where what another server notes later counts."""
        for agent_id, about in news.about:
            if self._about.get(agent_id) == about:
                del self._about[agent_id]

    def _note(self, agent_id: AgentId, at: Timestamp) -> None:
        if self.directory.agent(agent_id) is not None:
            self._seen[agent_id] = at


@asynccontextmanager
async def open_sightings(sightings: Sightings, journal: Journal) -> AsyncIterator[None]:
    """Note what is new now and then, and when the block ends."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_note_regularly, sightings, journal)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel(reason="the server ends")
            # The journal takes it without waiting for anybody but the disk, whose own limits bound it.
            with trio.CancelScope(shield=True):
                await _note(sightings, journal)


async def _note_regularly(sightings: Sightings, journal: Journal) -> None:
    while True:
        await trio.sleep(limits.NOTE_SIGHTINGS_SECONDS)
        await _note(sightings, journal)


async def _note(sightings: Sightings, journal: Journal) -> None:
    try:
        while (news := sightings.news()) != NoteSeen():
            await journal.commit(news)
            sightings.noted(news)
            if max(len(news.seen), len(news.about)) < limits.MAX_NOTED_SIGHTINGS:
                return
    except StorageError as error:
        # It is noted the next time. Whoever waits for an answer hears more of this storage.
        log.warning("when agents were seen was not noted", reason=str(error))
    except JournalClosed:
        return
