"""The pairings of this network at work: each with its remote, its status and its tasks, under a scope of its own.

    open_links
    └── one task per pairing          ends when the file drops or changes it
        ├── check_regularly           asks the remote how it is
        └── the services              relaying (``relay``)

A pairing that crashes is logged and begins again; its neighbours notice nothing.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from moltnet.backoff import backoff_delays
from moltnet.client.errors import one_line
from moltnet.config.settings import PairingSettings
from moltnet.log import get_logger
from moltnet.pairing.diagnostics import AGENTS_FAILED, ROOMS_FAILED, Status
from moltnet.pairing.limits import FIRST_CHECK_SECONDS, RETRY_BASE_SECONDS, RETRY_CAP_SECONDS, STATUS_SECONDS
from moltnet.pairing.refusals import is_about_pairing, is_too_much, was_answered
from moltnet.pairing.remote import Accepted, Refused, RemoteNetwork, RemoteUnavailable, open_remote
from moltnet.pairing.status import PairingStatus
from moltnet.protocol.network import Network
from moltnet.protocol.pages import AgentPage, PageRequest, RoomPage
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.times import WallClock, utc_now

log = get_logger("pairing")

OnChange = Callable[[Pairing], None]


@attrs.define(eq=False)
class Link:
    """One pairing at work. Its calls wait until its remote is opened, which takes a moment after a start."""

    settings: PairingSettings
    status: PairingStatus
    _remote: RemoteNetwork | None = attrs.field(default=None, init=False)
    _opened: trio.Event = attrs.field(factory=trio.Event, init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    @property
    def id(self) -> str:
        return self.settings.id

    async def send_message(self, body: bytes) -> Accepted | Refused:
        """As ``RemoteNetwork.send_message``, and the status learns what came of it.

        What refuses any message of ours is no refusal of this one: ``RemoteUnavailable``.
        """
        try:
            outcome = await (await self._at_work()).send_message(body)
        except RemoteUnavailable as error:
            if was_answered(error):
                if not is_too_much(error):
                    self.status.refused(error.reason)
            else:
                self.status.failed(error.reason)
            raise
        if isinstance(outcome, Refused) and is_about_pairing(outcome):
            reason = f"answered {outcome.status}: {one_line(outcome.message)}"
            self.status.refused(reason)
            raise RemoteUnavailable(reason)
        self.status.succeeded()
        return outcome

    async def check(self, *, discovery: bool = False) -> Network:
        """Ask the remote what it is, and judge it anew. ``discovery``: its lists are wanted too.

        Raises ``RemoteUnavailable``.
        """
        remote = await self._at_work()
        try:
            network = await remote.network()
        except RemoteUnavailable as error:
            self.status.check_failed(error.reason)
            raise
        self.status.checked(network, discovery=discovery)
        return network

    async def rooms(self, page: PageRequest) -> RoomPage:
        """A page of the remote's rooms, by its own order and cursors.

        Raises ``RemoteUnavailable``, also if the remote does not fit, and ``RemoteRefusedCursor``.
        """
        remote = await self._discoverable()
        try:
            return await remote.rooms(page)
        except RemoteUnavailable as error:
            self.status.failed(error.reason, message=ROOMS_FAILED)
            raise

    async def agents(self, page: PageRequest) -> AgentPage:
        """A page of the remote's agents. Raises as ``rooms`` does."""
        remote = await self._discoverable()
        try:
            return await remote.agents(page)
        except RemoteUnavailable as error:
            self.status.failed(error.reason, message=AGENTS_FAILED)
            raise

    async def _discoverable(self) -> RemoteNetwork:
        network = await self.check(discovery=True)
        known = self.status.diagnostics
        if self.status.status == Status.INCOMPATIBLE or network.capabilities.message_pagination != "cursor":
            raise RemoteUnavailable("" if known is None else known.message)
        return await self._at_work()

    async def _at_work(self) -> RemoteNetwork:
        if not self.settings.enabled:
            raise RemoteUnavailable("the pairing is disabled")
        await self._opened.wait()
        if self._remote is None:
            raise RemoteUnavailable("the pairing has ended")
        return self._remote

    async def run(self, services: Sequence["LinkService"], environ: Mapping[str, str]) -> None:
        """Be at work until ended. Never raises."""
        try:
            with self._scope:
                async with open_remote(self.settings, environ) as self._remote, trio.open_nursery() as nursery:
                    self._opened.set()
                    for service in (check_regularly, *services):
                        nursery.start_soon(self._keep, service)
        finally:
            self._remote = None
            self._opened.set()

    def end(self) -> None:
        self._scope.cancel(reason="the config file dropped or changed the pairing")

    async def _keep(self, service: "LinkService") -> None:
        for delay_seconds in backoff_delays(base_seconds=RETRY_BASE_SECONDS, cap_seconds=RETRY_CAP_SECONDS):
            try:
                return await service(self)
            except Exception:
                log.exception("pairing crashed", pairing=self.id, retry_seconds=delay_seconds)
            await trio.sleep(delay_seconds)


LinkService = Callable[[Link], Awaitable[None]]
"""What runs beside a pairing for as long as it is at work."""


@attrs.define(eq=False)
class Links:
    """All pairings of the config file. Made by ``open_links``."""

    _nursery: trio.Nursery
    _on_change: OnChange
    _services: Sequence[LinkService]
    _environ: Mapping[str, str]
    _wall_clock: WallClock
    _own_id: str
    _links: dict[str, Link] = attrs.field(factory=dict, init=False)

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links.values())

    def get(self, pairing_id: str) -> Link | None:
        return self._links.get(pairing_id)

    def pairings(self) -> tuple[Pairing, ...]:
        """What is told of each, by id."""
        return tuple(link.status.pairing for link in self._links.values())

    def adopt(self, pairings: Iterable[PairingSettings]) -> None:
        """Go on with these. What has not changed goes on undisturbed; everything else ends, or begins. Never waits."""
        before, self._links = self._links, {}
        for settings in sorted(pairings, key=lambda each: each.id):
            known = before.get(settings.id)
            if known is not None and known.settings == settings:
                self._links[settings.id] = before.pop(settings.id)
                continue
            status = PairingStatus(settings, self._own_id, self._on_change, self._wall_clock)
            link = self._links[settings.id] = Link(settings, status)
            self._nursery.start_soon(link.run, self._services, self._environ)
        for link in before.values():
            link.end()


async def check_regularly(link: Link) -> None:
    """Ask the remote how it is, soon after the start, then whenever its status is old; after failures more often."""
    await trio.sleep(FIRST_CHECK_SECONDS)
    delays = backoff_delays(base_seconds=RETRY_BASE_SECONDS, cap_seconds=RETRY_CAP_SECONDS)
    while True:
        wait_seconds = STATUS_SECONDS
        if link.status.refresh_due(trio.current_time()):
            try:
                await link.check()
            except RemoteUnavailable:
                wait_seconds = next(delays)
            else:
                delays = backoff_delays(base_seconds=RETRY_BASE_SECONDS, cap_seconds=RETRY_CAP_SECONDS)
        elif not link.status.is_off:
            wait_seconds = link.status.seconds_left(trio.current_time())
        await trio.sleep(wait_seconds)


@asynccontextmanager
async def open_links(
    pairings: Iterable[PairingSettings],
    *,
    own_id: str,
    on_change: OnChange = lambda _: None,
    services: Sequence[LinkService] = (),
    environ: Mapping[str, str] = os.environ,
    wall_clock: WallClock = utc_now,
) -> AsyncIterator[Links]:
    """Put pairings to work. ``own_id`` is this network's: a pairing that leads back here is none.

    ``on_change`` hears of every real change of a status and must not block. Leaving the block ends them all.
    """
    async with trio.open_nursery() as nursery:
        links = Links(nursery, on_change, services, environ, wall_clock, own_id)
        links.adopt(pairings)
        try:
            yield links
        finally:
            nursery.cancel_scope.cancel(reason="the network ends")
