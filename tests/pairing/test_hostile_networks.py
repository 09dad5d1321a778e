"""A paired network that does what it should not, while a server relays to it: nothing is lost, and nobody else waits.

Calls alone, and what is said of them, are in `test_remote`; whose turn it is, in `test_courier`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from moltnet.config.settings import PairingSettings
from tests.conformance.reference_pairing import ReferenceNetwork, open_reference
from tests.fakes.http_client import http_client
from tests.fakes.http_server import Reply, SeenRequest, answer, flood, held, raw, silence
from tests.fakes.network import (
    TestServer,
    direct_message,
    open_test_server,
    room,
    room_message,
    secret_of,
    thread_message,
)
from tests.fakes.paired import depth, paired_config, pairing_to, say, wait_for_texts, wait_settled

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TEXTS = [f"text {number}" for number in range(5)]
DOCUMENT = ReferenceNetwork("bad", {}, frozenset()).document()
TOKEN = secret_of("of-net_a")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the pauses are is tested in `test_courier`."""
    monkeypatch.setattr("moltnet.pairing.courier.PAIRING_RETRY_BASE_SECONDS", 0.02)
    monkeypatch.setattr("moltnet.pairing.lanes.LANE_RETRY_BASE_SECONDS", 0.02)


@attrs.frozen
class Three:
    """A network that is paired with a bad one and a good one."""

    a: TestServer
    bad: ReferenceNetwork
    good: TestServer

    @property
    def status(self) -> str:
        return {pairing.id: pairing.status for pairing in self.a.app.links.pairings()}["to_bad"]


@asynccontextmanager
async def three(misbehaves: Callable[[SeenRequest], Reply | None] = lambda _: None) -> AsyncIterator[Three]:
    rooms = {name: ["net_a:alpha"] for name in ("general", "other", "third")}
    bad = ReferenceNetwork("bad", rooms, frozenset({"of-net_a"}), misbehaves=misbehaves)
    more = [room("other", "alpha", "net_a:alpha"), room("third", "alpha", "net_a:alpha")]
    good_config = paired_config("good", "net_a", rooms=more)
    async with open_reference(bad), open_test_server(good_config) as good:
        config = paired_config("net_a", "bad", "good", rooms=more)
        ways: tuple[PairingSettings, ...] = (pairing_to("bad", bad.url, "net_a"), pairing_to("good", good.url, "net_a"))
        async with open_test_server(attrs.evolve(config, pairings=ways)) as a:
            yield Three(a, bad, good)


def to_posts(reply: Reply) -> Callable[[SeenRequest], Reply | None]:
    return lambda request: reply if request.method == "POST" else None


def to_all(reply: Reply) -> Callable[[SeenRequest], Reply | None]:
    return lambda _: reply


MISBEHAVIOUR: dict[str, Callable[[SeenRequest], Reply | None]] = {
    "garbage": to_all(raw(b"\x00\xff SSH-2.0 garbage\r\n\r\n", close=True)),
    "garbage in the body": to_posts(answer(202, b"not json")),
    "nothing": to_all(raw(b"", close=True)),
    "half an answer": to_posts(raw(b"HTTP/1.1 202 OK\r\nContent-Length: 50\r\n\r\n{", close=True)),
    "a huge body": to_all(raw(JSON_HEAD + b"Content-Length: 999999999\r\n\r\n{", close=True)),
    "a body without end": to_posts(
        flood(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b" " * 1024 + b"\r\n")
    ),
    "a wrong network": to_all(answer(200, {**DOCUMENT, "id": "somebody-else"})),
    "redirects": to_all(answer(307, b"", headers={"Location": "http://169.254.169.254/latest"})),
    "redirects of messages": to_posts(answer(308, b"", headers={"Location": "http://127.0.0.1:1/v1/messages"})),
    "our token": to_posts(answer(422, {"code": "x", "error": f"Bearer {TOKEN}", "request_id": "r"})),
    "a page of a proxy": to_posts(answer(404, b"<html>no such host</html>")),
    "a failure": to_posts(answer(500, {"code": "internal_error", "error": "internal server error"})),
    "a refused token": to_all(answer(401, {"code": "unauthorized", "error": "invalid token", "request_id": "r"})),
    "a rate": to_posts(answer(429, {"code": "rate_limited", "error": "too many"}, headers={"Retry-After": "0"})),
    "an accepted that is none": to_posts(answer(202, {"message_id": 5, "event_id": "", "accepted": "maybe"})),
}


@pytest.mark.parametrize("name", MISBEHAVIOUR)
async def test_what_a_network_should_not_do_costs_it_time_and_others_nothing(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with three(MISBEHAVIOUR[name]) as networks:
        for text in TEXTS:
            await say(networks.a.app, room_message(text))
        await wait_for_texts(networks.good.app, *TEXTS)
        await wait_settled(networks.a.app, "to_good")
        found = await depth(networks.a.app, "to_bad")
        assert (found.waiting, found.dead) == (len(TEXTS), 0)
        # What it then is, it is for all that waited; an operator who asks for it has it looked at now.
        networks.bad.misbehaves = lambda _: None
        assert (await http_client(networks.a, "ops").get("/v1/pairings/to_bad/network")).status == 200
        await wait_settled(networks.a.app, "to_bad")
        assert networks.bad.texts("room", "general") == TEXTS
        assert networks.status == "connected"
        assert TOKEN not in caplog.text


async def test_a_network_that_never_answers_holds_up_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moltnet.pairing.remote.REMOTE_CALL_SECONDS", 0.2)
    for endless in (silence(), held(JSON_HEAD + b"Content-Length: 500\r\n\r\n", b"{")):
        async with three(to_posts(endless)) as networks:
            for text in TEXTS:
                await say(networks.a.app, room_message(text))
            await wait_for_texts(networks.good.app, *TEXTS)
            networks.bad.misbehaves = lambda _: None
            await wait_settled(networks.a.app, "to_bad")
            assert networks.bad.texts("room", "general") == TEXTS


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "not_found", 'unknown room "other"'),
        (403, "forbidden", 'room "other" write policy forbids sender'),
        (422, "unprocessable_entity", "target.room_id room id id must match"),
        (409, "message_id_conflict", "taken"),
        (413, "message_too_large", "too large"),
    ],
)
async def test_a_refusal_of_one_room_lets_all_other_conversations_flow(status: int, code: str, error: str) -> None:
    def refuse_other(request: SeenRequest) -> Reply | None:
        is_other = request.method == "POST" and b'"room_id":"other"' in request.body
        return answer(status, {"code": code, "error": error, "request_id": "r"}) if is_other else None

    async with three(refuse_other) as networks:
        for number in range(6):
            await say(networks.a.app, room_message(f"text {number}", room=("general", "other", "third")[number % 3]))
        await say(networks.a.app, thread_message("topic", "in a thread"))
        await say(networks.a.app, direct_message("d1", "alpha", "bad:beta", text="to you"))
        await wait_settled(networks.a.app, "to_bad", dead=2)
        assert networks.bad.texts("room", "general") == ["text 0", "text 3"]
        assert networks.bad.texts("room", "third") == ["text 2", "text 5"]
        assert networks.bad.texts("thread", "topic") == ["in a thread"]
        assert networks.bad.texts("dm", "d1") == ["to you"]
        assert networks.status == "connected"


async def test_a_slow_network_gets_everything_in_order_and_a_quick_one_does_not_wait_for_it() -> None:
    posts: list[float] = []

    def slowly(request: SeenRequest) -> Reply | None:
        if request.method != "POST":
            return None

        async def reply(stream: trio.abc.Stream, seen: SeenRequest) -> bool:
            posts.append(trio.current_time())
            await trio.sleep(0.1)
            return await networks.bad._reply(seen)(stream, seen)

        return reply

    async with three(slowly) as networks:
        for text in TEXTS:
            await say(networks.a.app, room_message(text))
        await wait_for_texts(networks.good.app, *TEXTS)
        assert (await depth(networks.a.app, "to_bad")).waiting > 0
        await wait_settled(networks.a.app, "to_bad")
        assert networks.bad.texts("room", "general") == TEXTS
        assert len(posts) == len(TEXTS)


async def test_a_network_that_becomes_another_gets_nothing_more() -> None:
    async with three() as networks:
        await say(networks.a.app, room_message("to the right one"))
        await wait_settled(networks.a.app, "to_bad")
        networks.bad.misbehaves = lambda request: (
            answer(200, {**DOCUMENT, "id": "somebody-else"}) if request.method == "GET" else None
        )
        assert (await http_client(networks.a, "ops").get("/v1/pairings/to_bad/network")).status == 200
        assert networks.status == "incompatible"
        await say(networks.a.app, room_message("not for somebody else"))
        await wait_for_texts(networks.good.app, "to the right one", "not for somebody else")
        assert (await depth(networks.a.app, "to_bad")).waiting == 1
        assert networks.bad.texts("room", "general") == ["to the right one"]
