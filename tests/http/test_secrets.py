"""No token leaves a server: not in answers, not in events, not in logs (design §4.7).

Each secret here is easy to find.
"""

import io

import pytest

from moltnet.config.settings import AuthMode
from moltnet.log import LogFormat, configure
from moltnet.protocol.rooms import Visibility
from tests.expected_errors import ExpectedErrors
from tests.fakes.attach_client import attach, frame, identify_frame, open_websocket_wire, read_until_closed
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import bearer, http_client
from tests.fakes.network import network_config, open_test_server, room, room_message, secret_of, token

WRONG = "PLANTED-SECRET-THAT-IS-WRONG"
TOKENS = [token("alpha", "attach write", "alpha"), token("ops", "observe write admin")]
CONFIG = network_config(
    mode=AuthMode.OPEN, tokens=TOKENS, rooms=[room("general", "alpha", visibility=Visibility.PUBLIC)], debug_events=True
)


@pytest.fixture(params=["json", "console"])
def log_text(request: pytest.FixtureRequest) -> io.StringIO:
    """Everything that is logged, down to debugging."""
    stream = io.StringIO()
    log_format: LogFormat = request.param
    configure(format=log_format, level="debug", stream=stream)
    return stream


def assert_clean(text: str, *, also: str = "") -> None:
    for secret in ("PLANTED-SECRET", *([also] if also else [])):
        assert secret not in text


REQUESTS: list[tuple[str, str, object]] = [
    ("GET", "/v1/network", None),
    ("GET", "/v1/rooms", None),
    ("GET", "/v1/rooms/nowhere", None),
    ("GET", "/v1/agents", None),
    ("GET", "/v1/dms", None),
    ("GET", "/v1/nothing", None),
    ("GET", f"/v1/rooms?access_token={WRONG}", None),
    ("POST", "/v1/messages", room_message(sender="alpha")),
    ("POST", "/v1/messages", room_message(sender="somebody")),
    ("POST", "/v1/messages", b"{"),
    ("POST", "/v1/agents/register", {"requested_agent_id": "alpha"}),
]
CREDENTIALS = [
    bearer("alpha"),
    bearer("ops"),
    bearer("no-such-token"),
    {"Authorization": WRONG},
    {"Authorization": f"Basic {WRONG}"},
    {"Authorization": f"bearer {WRONG}"},
    {"Cookie": f"moltnet_auth={WRONG}"},
]


async def test_neither_good_nor_bad_tokens_show_up_in_answers_and_logs(log_text: io.StringIO) -> None:
    async with open_test_server(CONFIG) as server:
        for headers in CREDENTIALS:
            for method, target, body in REQUESTS:
                answer = await http_client(server).request(method, target, body, headers=headers)
                assert_clean(f"{answer.headers} {answer.body.decode()}")
    assert "/v1/rooms/nowhere" in log_text.getvalue()  # it was listening
    assert_clean(log_text.getvalue())


async def test_the_token_of_an_agent_is_shown_to_the_agent_alone(log_text: io.StringIO) -> None:
    async with open_test_server(CONFIG) as server:
        registered = await http_client(server).post("/v1/agents/register", {"name": "Luna"})
        minted = registered.json()["agent_token"]
        async with http_client(server, "ops").stream_events() as source:
            async with open_websocket_wire(server.url, minted) as wire:
                client = await attach(wire, "luna")
                await http_client(server, "alpha").post("/v1/messages", room_message("@luna", sender="alpha"))
                await client.next_texts(1)
            assert_clean(str(await source.next_of("message.created")), also=minted)
            assert_clean(str(await source.next_of("agent.disconnected")), also=minted)
        async with open_websocket_wire(server.url, minted) as wire:
            await wire.send(identify_frame("alpha"))
            frames, _ = await read_until_closed(wire)
            assert_clean(str(frames), also=minted)
        for caller in ("", "ops", minted):
            answer = await http_client(server, caller).get("/v1/agents/luna")
            assert_clean(answer.body.decode(), also=minted)
        for record in await server.app.context.store.events_after(0, 1000):
            assert_clean(record.wire.decode(), also=minted)
    assert "attached" in log_text.getvalue()
    assert_clean(log_text.getvalue(), also=minted)


async def test_what_a_peer_says_in_the_wrong_place_does_not_reach_the_log_either(log_text: io.StringIO) -> None:
    async with open_test_server(CONFIG) as server:
        for first in (frame("IDENTIFY", token=WRONG), identify_frame("alpha", agent_token=WRONG), f"Bearer {WRONG}"):
            async with open_websocket_wire(server.url, "alpha") as wire:
                await wire.send(first)
                if "agent_token" not in first:
                    await read_until_closed(wire)
    assert_clean(log_text.getvalue())


async def test_not_even_a_crash_shows_a_token(log_text: io.StringIO, expected_errors: ExpectedErrors) -> None:
    def choke(commands: object) -> None:
        local_variable = secret_of("ops")
        raise ZeroDivisionError(f"Authorization: Bearer {local_variable}")

    store = FaultyStore()
    async with open_test_server(CONFIG, store=store) as server:
        store.refuse = choke
        answer = await http_client(server, "alpha").post("/v1/messages", room_message(sender="alpha"))
        assert answer.status == 503
        assert_clean(answer.body.decode())
    expected_errors.take("commit crashed")
    logged = log_text.getvalue()
    assert "ZeroDivisionError" in logged
    assert_clean(logged)


async def test_an_app_does_not_show_its_tokens_when_it_is_printed() -> None:
    async with open_test_server(CONFIG) as server:
        app = server.app
        for thing in (app, app.config, app.authenticator, app.authenticator.tokens, app.context):
            assert_clean(repr(thing))
