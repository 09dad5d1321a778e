"""The HTTP API against a trivial model, on every store: the same random requests must have the same answers.

Requests go through the whole application, without a socket. Now and then the server is started again on its store, and
every list is read to its end in both directions.
"""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import hypothesis
import orjson
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from moltnet.asgi import NetworkAsgi
from moltnet.config.secrets import Secret
from moltnet.config.settings import (
    AuthMode,
    FileStorage,
    MoltnetConfig,
    PostgresStorage,
    Registration,
    StorageKind,
    StorageSettings,
)
from moltnet.storage.memory import MemoryStore
from tests.fakes import network
from tests.fakes.asgi_client import open_exchange
from tests.fakes.http_client import bearer
from tests.fakes.postgres import PostgresServer
from tests.fakes.trio_thread import HeldOpen, TrioThread
from tests.http.api_model import ApiModel, page_of
from tests.http.api_requests import (
    ALL_LISTINGS,
    FIRST_MESSAGES,
    Listing,
    admins,
    agent_ids,
    applies,
    callers,
    changes,
    conversations,
    listings,
    members,
    names,
    room_ids,
    room_requests,
    sends,
    some_parts,
    targets,
)
from tests.http.api_state import CALLERS, INVALID_CURSOR, Answer, Caller, Document, Refused, Room

CONFIG = network.network_config(
    mode=AuthMode.BEARER,
    tokens=[
        network.token("operator", "observe write admin"),
        network.token("alpha", "attach write", "alpha"),
        network.token("beta", "attach write", "beta"),
        network.token("shared", "attach write"),
        network.token("observer", "observe"),
    ],
    rooms=[network.room("general", "alpha", "beta")],
    public_read=True,
    registration=Registration.TOKEN,
)
DECLARED = {"general": Room("General", ["alpha", "beta"], "private", "members", "")}
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RANDOM = frozenset({"actor_uid", "event_id"})


def without_sightings(content: Any) -> Any:
    """The same without the times at which agents were last seen."""
    if isinstance(content, list):
        return [without_sightings(item) for item in content]
    if isinstance(content, dict):
        return {name: without_sightings(value) for name, value in content.items() if name != "last_seen_at"}
    return content


class ApiAgainstModel(RuleBasedStateMachine):
    """A class of tests inherits from this and says how a network is opened, again and again on the same store."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._trio = TrioThread()
        self._model = ApiModel(declared=DECLARED)
        self._seconds = 0
        self._learned: dict[tuple[object, ...], str] = {}
        self._sent: list[tuple[Caller, Document]] = []
        self._network: HeldOpen[NetworkAsgi] | None = None
        self._messages = 0
        self._failed = False

    def open_asgi(self, directory: Path) -> AbstractAsyncContextManager[NetworkAsgi]:
        raise NotImplementedError

    @property
    def network(self) -> HeldOpen[NetworkAsgi]:
        assert self._network is not None
        return self._network

    def clock(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def start(self) -> None:
        self._tick()
        self._model.start()
        self._network = HeldOpen(self._trio, lambda: self.open_asgi(Path(self._directory.name)))

    @initialize(first=room_requests, second=room_requests)
    def begin(self, first: Document, second: Document) -> None:
        self.start()
        for room_id, request in (("room2", first), ("room3", second)):
            self.create_room(CALLERS["operator"], {**request, "id": room_id})
        for number, request in enumerate(FIRST_MESSAGES):
            self.send(CALLERS["operator"], {**request, "id": f"m{number}"})

    # Changes

    @rule(caller=admins, request=room_requests)
    def create_room(self, caller: Caller, request: Document) -> None:
        self.compare(caller, "POST", "/v1/rooms", lambda: self._model.create_room(caller, request), request)

    @rule(caller=admins, room_id=room_ids, add=members, remove=members)
    def change_members(self, caller: Caller, room_id: str, add: list[str], remove: list[str]) -> None:
        request = {"add": add, "remove": remove}
        path = f"/v1/rooms/{room_id}/members"
        self.compare(caller, "PATCH", path, lambda: self._model.change_members(caller, room_id, request), request)

    @rule(caller=admins, room_id=room_ids)
    def remove_room(self, caller: Caller, room_id: str) -> None:
        self.compare(caller, "DELETE", f"/v1/rooms/{room_id}", lambda: self._model.remove_room(caller, room_id))

    @rule(caller=admins, room_id=room_ids, members=members)
    def restore_room(self, caller: Caller, room_id: str, members: list[str]) -> None:
        request = {"members": members}
        path = f"/v1/rooms/{room_id}/restore"
        self.compare(caller, "POST", path, lambda: self._model.restore_room(caller, room_id, request), request)

    @rule(caller=admins, request=applies)
    def apply(self, caller: Caller, request: Document) -> None:
        self.compare(caller, "POST", "/v1/apply", lambda: self._model.apply(caller, request), request)

    @rule(caller=callers, agent_id=agent_ids, name=names)
    def register(self, caller: Caller, agent_id: str, name: str) -> None:
        request = {"requested_agent_id": agent_id, "name": name}
        self.compare(caller, "POST", "/v1/agents/register", lambda: self._model.register(caller, request), request)

    @rule(caller=admins, agent_id=agent_ids)
    def remove_agent(self, caller: Caller, agent_id: str) -> None:
        self.compare(caller, "DELETE", f"/v1/agents/{agent_id}", lambda: self._model.remove_agent(caller, agent_id))
        if agent_id not in self._model.agents:
            # Whoever registers next is somebody else.
            self._learned = {key: text for key, text in self._learned.items() if agent_id not in key}

    @rule(caller=callers, request=sends)
    def send(self, caller: Caller, request: Document) -> None:
        self._sent.append((caller, request))
        self.compare(caller, "POST", "/v1/messages", lambda: self._model.send(caller, request), request)

    @rule(place=targets, sender=agent_ids, parts=some_parts, count=st.integers(3, 20))
    def converse(self, place: Document, sender: str, parts: list[Document], count: int) -> None:
        """Many messages of one who may send almost everything, so that lists become long."""
        actor = {"type": "agent", "id": sender, "name": ""}
        if place["kind"] == "dm":
            place = {**place, "participant_ids": [sender, "net_b:remote"]}
        for _ in range(count):
            self._messages += 1
            request = {"id": f"n{self._messages}", "target": place, "from": actor, "parts": parts, "mentions": []}
            self.send(CALLERS["operator"], request)

    @rule(data=st.data(), change=st.one_of(st.just({}), changes))
    def send_again(self, data: st.DataObject, change: Document) -> None:
        """The same, or something else under the same id."""
        caller, request = data.draw(st.sampled_from(self._sent))
        self.send(caller, {**request, **change})

    @rule()
    def restart(self) -> None:
        self.network.close()
        self.start()

    # Reading

    @rule(caller=callers, listing=listings, limit=st.integers(1, 7), data=st.data())
    def read_a_page(self, caller: Caller, listing: Listing, limit: int, data: st.DataObject) -> None:
        known = sorted({*self._model.messages, *self._model.rooms, "t1", "d1", "alpha", "net_b:remote"})
        known += [f"art_{message_id}_{index}" for message_id in self._model.messages for index in range(2)]
        cursor = data.draw(st.fixed_dictionaries({}, optional={"before": st.sampled_from(known)}))
        if not cursor:
            cursor = data.draw(st.fixed_dictionaries({}, optional={"after": st.sampled_from(known)}))
        self.read(caller, listing, limit, **cursor)

    @rule(caller=callers, listing=listings, limit=st.integers(1, 7))
    def read_a_list_to_its_ends(self, caller: Caller, listing: Listing, limit: int) -> None:
        self.read_all(caller, listing, limit)

    @rule(caller=callers, conversation=conversations, agent_id=agent_ids)
    def look(self, caller: Caller, conversation: tuple[str, str], agent_id: str) -> None:
        kind, id = conversation
        path, show = {
            "room": ("rooms", self._model.show_room),
            "thread": ("threads", self._model.show_thread),
            "dm": ("dms", self._model.show_direct),
        }[kind]
        self.compare(caller, "GET", f"/v1/{path}/{id}", lambda: show(caller, id))
        self.compare(caller, "GET", f"/v1/agents/{agent_id}", lambda: self._model.show_agent(caller, agent_id))

    @rule()
    def read_everything(self) -> None:
        for listing in ALL_LISTINGS:
            # Lists by id are short, and must not fit into one page.
            self.read_all(CALLERS["operator"], listing, 7 if listing.newest_first else 2)

    def teardown(self) -> None:
        with ExitStack() as closing:
            closing.callback(self._directory.cleanup)
            closing.callback(self._trio.close)
            if self._network is not None:
                closing.callback(lambda: self.network.close())
                if not self._failed:
                    self.restart()
                    self.read_everything()

    # How it is compared

    def read_all(self, caller: Caller, listing: Listing, limit: int) -> None:
        """Every page matches, and together they are the list, from either end."""
        pages = list(self.pages(caller, listing, limit, {}))
        if any(page is None for page in pages):
            return
        first = [item for page in (reversed(pages) if listing.newest_first else pages) for item in page or ()]
        whole = [self.known(item) for item in listing.items(self._model, caller)]
        assert first == whole
        if whole:
            name, edge = ("after", whole[0]) if listing.newest_first else ("before", whole[-1])
            back = list(self.pages(caller, listing, limit, {name: edge["id"]}))
            ordered = back if listing.newest_first else reversed(back)
            rest = [item for page in ordered for item in page or ()]
            assert rest == (whole[1:] if listing.newest_first else whole[:-1])

    def pages(
        self, caller: Caller, listing: Listing, limit: int, cursor: dict[str, str]
    ) -> Iterator[list[Document] | None]:
        while True:
            content = self.read(caller, listing, limit, **cursor)
            if content is None:
                yield None
                return
            yield [self.known(item) for item in content[listing.name]]
            page = content["page"]
            if not page["has_more"]:
                return
            cursor = {name.removeprefix("next_"): page[name] for name in ("next_before", "next_after") if name in page}

    def read(
        self, caller: Caller, listing: Listing, limit: int, *, before: str = "", after: str = ""
    ) -> Document | None:
        """One page, compared with the model's; `None` if it is refused."""
        query = urlencode({name: text for name, text in (("before", before), ("after", after)) if text})
        path = f"{listing.path}{'&' if '?' in listing.path else '?'}limit={limit}&{query}"

        def expected() -> Answer:
            cursor = before or after
            if listing.name == "artifacts" and cursor and not cursor.startswith("art_"):
                raise Refused(*INVALID_CURSOR)  # no such id can be in any list, so nothing else is looked at
            items, page = page_of(
                listing.items(self._model, caller),
                limit,
                before=before,
                after=after,
                newest_first=listing.newest_first,
            )
            return Answer(200, {listing.name: items, "page": page})

        found = self.compare(caller, "GET", path, expected)
        return found.content if found.status == 200 else None

    def compare(
        self, caller: Caller, method: str, path: str, expected: Callable[[], Answer], body: Document | None = None
    ) -> Answer:
        self._tick()
        status, content = self._trio.run(lambda: self._exchange(caller, method, path, body))
        try:
            wanted = expected()
        except Refused as refused:
            wanted = refused.answer
        if caller.observes:
            content = without_sightings(content)  # the model does not tell when somebody was there
        found = Answer(status, content["code"] if status >= 400 else self.known(content))
        if found != wanted:
            self._failed = True  # what follows from it is no news
            raise AssertionError(f"{caller.name} {method} {path} {body}\n  answered {found}\n  expected {wanted}")
        return Answer(status, content)

    def known(self, content: Any) -> Any:
        """Content without what is random in it, which must be what it was before."""
        if isinstance(content, list):
            return [self.known(item) for item in content]
        if not isinstance(content, dict):
            return content
        subject = next((content[key] for key in ("message_id", "agent_id", "id") if key in content), "")
        for key in RANDOM & content.keys():
            assert self._learned.setdefault((key, subject), content[key]) == content[key]
        return {key: self.known(value) for key, value in content.items() if key not in RANDOM}

    async def _exchange(self, caller: Caller, method: str, path: str, body: Document | None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **(bearer(caller.name) if caller.name else {})}
        async with open_exchange(self.network.resource, method, path, body, headers=headers) as exchange:
            status = await exchange.receive_status()
            await exchange.ended.wait()
            return status, orjson.loads(exchange.receive_waiting())

    def _tick(self) -> None:
        self._seconds += 1
        self._model.now = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


class ApiOnMemory(ApiAgainstModel):
    """What is in memory lives as long as the store, however often the server starts on it."""

    def __init__(self) -> None:
        super().__init__()
        self._store = MemoryStore(network.NETWORK)

    @asynccontextmanager
    async def open_asgi(self, directory: Path) -> AsyncIterator[NetworkAsgi]:
        async with network.open_test_app(CONFIG, store=self._store, clock=self.clock) as app:
            yield NetworkAsgi(app)


class ApiOnStorage(ApiAgainstModel):
    """The store is opened anew at each start."""

    def storage(self, directory: Path) -> StorageSettings:
        raise NotImplementedError

    @asynccontextmanager
    async def open_asgi(self, directory: Path) -> AsyncIterator[NetworkAsgi]:
        config: MoltnetConfig = attrs.evolve(CONFIG, storage=self.storage(directory))
        async with network.open_test_app(config, clock=self.clock) as app:
            yield NetworkAsgi(app)


class ApiOnJson(ApiOnStorage):
    def storage(self, directory: Path) -> StorageSettings:
        return StorageSettings(StorageKind.JSON, json=FileStorage(directory / "moltnet.json"))


class ApiOnSqlite(ApiOnStorage):
    def storage(self, directory: Path) -> StorageSettings:
        return StorageSettings(StorageKind.SQLITE, sqlite=FileStorage(directory / "moltnet.db"))


class ApiOnPostgres(ApiOnStorage):
    """A class of tests says which server it is; each network gets a schema of its own."""

    server: PostgresServer

    def __init__(self) -> None:
        super().__init__()
        self._dsn = Secret(self.server.dsn_of_new_schema())

    def storage(self, directory: Path) -> StorageSettings:
        return StorageSettings(StorageKind.POSTGRES, postgres=PostgresStorage(self._dsn))


BRIEFLY = hypothesis.settings(max_examples=3, stateful_step_count=30)
AT_LENGTH = hypothesis.settings(max_examples=20, stateful_step_count=60, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", [ApiOnMemory, ApiOnJson, ApiOnSqlite])
def test_every_answer_is_what_the_model_says(kind: type[ApiAgainstModel]) -> None:
    run_state_machine_as_test(kind, settings=BRIEFLY)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [ApiOnMemory, ApiOnJson, ApiOnSqlite])
def test_every_answer_is_what_the_model_says_at_length(kind: type[ApiAgainstModel]) -> None:
    run_state_machine_as_test(kind, settings=AT_LENGTH)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_answer_is_what_the_model_says_on_postgres(postgres_server: PostgresServer) -> None:
    class OnThisServer(ApiOnPostgres):
        server = postgres_server

    run_state_machine_as_test(OnThisServer, settings=hypothesis.settings(AT_LENGTH, max_examples=10))
