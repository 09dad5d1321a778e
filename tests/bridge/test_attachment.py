"""One connection: its handshake, its deliveries, and the two words for every end it can have."""

import stat
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from bridge.attachment import Attachment, open_attachment
from bridge.config import AttachmentConfig, AuthMode, TokenSource
from bridge.errors import AttachRefused, ConnectionLost
from moltnet.client import limits
from moltnet.client.websocket import WebSocket
from moltnet.protocol import limits as wire_limits
from moltnet.protocol.agents import About
from moltnet.protocol.attachment import Delivered
from tests.fakes import attach_server
from tests.fakes.attach_server import AttachServer, Peer
from tests.fakes.messages import created, message, noise


def claiming(config: AttachmentConfig, token_path: Path) -> AttachmentConfig:
    link = attrs.evolve(config.server, auth_mode=AuthMode.OPEN, token=TokenSource(path=token_path))
    return attrs.evolve(config, server=link)


async def take(attachment: Attachment, count: int) -> list[Delivered]:
    taken = [await anext(attachment) for _ in range(count)]
    return [delivery for delivery in taken if isinstance(delivery, Delivered)]


async def test_the_client_says_who_it_is_and_from_where_on(server: AttachServer, config: AttachmentConfig) -> None:
    async with open_attachment(config, "secret-token", "evt_7", {}) as attachment:
        (peer,) = server.peers
        assert attachment.ready.agent_id == "agent-1"
    assert peer.path == "/v1/attach"
    assert peer.headers["authorization"] == "Bearer secret-token"
    assert peer.identified is not None
    assert (peer.identified.agent.id, peer.identified.agent.name) == ("agent-1", "Agent One")
    assert peer.identified.cursor == "evt_7"


@pytest.mark.parametrize(("environ", "host"), [({}, ""), ({"MOLTNET_NODE_HOST": "build-7"}, "build-7")])
async def test_it_says_which_runtime_it_is_and_where_only_if_it_may(
    server: AttachServer, config: AttachmentConfig, environ: dict[str, str], host: str
) -> None:
    async with open_attachment(config, None, "", environ):
        (peer,) = server.peers
    assert peer.identified is not None
    assert peer.identified.about == About(config.runtime.kind, host)


async def test_a_base_url_with_a_path_keeps_it(server: AttachServer, config: AttachmentConfig) -> None:
    link = attrs.evolve(config.server, base_url=f"{server.base_url}/behind/a/proxy")
    async with open_attachment(attrs.evolve(config, server=link), None, "", {}):
        pass
    (peer,) = server.peers
    assert peer.path == "/behind/a/proxy/v1/attach"
    assert "authorization" not in peer.headers


async def test_events_come_in_order_and_are_settled_one_by_one(server: AttachServer, config: AttachmentConfig) -> None:
    events = [created(message("msg_1")), noise(1), created(message("msg_2"))]
    async with open_attachment(config, None, "", {}) as attachment:
        server.publish(*events)
        deliveries = await take(attachment, 3)
        assert [delivery.event for delivery in deliveries] == events
        await attachment.ack(deliveries[2].cursor)
        await attachment.ack(deliveries[0].cursor)
        await attachment.ack(deliveries[0].cursor)
        await attachment.ack("evt_never-delivered")
        await attachment.ack(deliveries[1].cursor)
        await server.wait_acked(*events)
    assert server.acked == [events[2].id, events[0].id, events[1].id]
    assert server.peers[0].errors == []


async def test_ping_is_answered_while_nobody_takes_the_events(server: AttachServer, config: AttachmentConfig) -> None:
    """Weakness 5 of the reference: 64 frames piled up, PINGs stopped, and the server dropped the socket."""
    server.ping_seconds = 0.01
    async with open_attachment(config, None, "", {}) as attachment:
        server.publish(*(created(message(f"msg_{number}")) for number in range(wire_limits.DELIVERY_WINDOW_EVENTS)))
        (peer,) = server.peers
        await server.wait_until(lambda _: peer.pings > 20)
        deadline = peer.session.read_deadline
        await server.wait_until(lambda _: peer.session.read_deadline > deadline)
        assert len(await take(attachment, wire_limits.DELIVERY_WINDOW_EVENTS)) == wire_limits.DELIVERY_WINDOW_EVENTS


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013])
async def test_every_close_after_ready_is_a_loss(code: int, server: AttachServer, config: AttachmentConfig) -> None:
    """Weakness 2 of the reference: a clean close detached the agent for good."""
    server.scripts.append(attach_server.close(code))
    with pytest.raises(ConnectionLost, match=f"closed with {code}"):
        async with open_attachment(config, None, "", {}) as attachment:
            await anext(attachment)


async def test_a_cut_connection_is_a_loss(server: AttachServer, config: AttachmentConfig) -> None:
    server.scripts.append(attach_server.drop_at_ready)
    with pytest.raises(ConnectionLost, match="closed with 1006"):
        async with open_attachment(config, None, "", {}) as attachment:
            await anext(attachment)


async def test_what_arrived_before_the_loss_is_still_taken(server: AttachServer, config: AttachmentConfig) -> None:
    async def deliver_and_drop(peer: Peer) -> None:
        await peer.attach()
        with trio.move_on_after(0.2):
            await peer.deliver()
        await peer.drop()

    server.scripts.append(deliver_and_drop)
    server.publish(created(message("msg_1")), created(message("msg_2")))
    async with open_attachment(config, None, "evt_old", {}) as attachment:
        await take(attachment, 2)
        with pytest.raises(ConnectionLost):
            await anext(attachment)
        with pytest.raises(ConnectionLost):
            await attachment.ack(created(message("msg_1")).id)


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        (attach_server.reject(401), AttachRefused, "answered the upgrade with 401: no; the network asks for a token"),
        (attach_server.reject(403), AttachRefused, "answered the upgrade with 403"),
        (attach_server.reject(404), AttachRefused, "answered the upgrade with 404"),
        (attach_server.reject(429), ConnectionLost, "answered the upgrade with 429"),
        (attach_server.reject(503), ConnectionLost, "answered the upgrade with 503"),
        (attach_server.drop_during_upgrade, ConnectionLost, "ended the connection"),
        (attach_server.refuse("not yours", 1008), AttachRefused, "refused: not yours"),
        (attach_server.refuse("not yours", None), AttachRefused, "refused: not yours"),
        (attach_server.refuse("attached elsewhere", 1013), ConnectionLost, "not now: attached elsewhere"),
        (attach_server.refuse("restarting", 1012), ConnectionLost, "not now: restarting"),
    ],
)
async def test_an_attachment_that_does_not_come_about_is_refused_or_lost(
    script: attach_server.Script,
    error: type[Exception],
    text: str,
    server: AttachServer,
    config: AttachmentConfig,
) -> None:
    server.scripts.append(script)
    with pytest.raises(error, match=text):
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")


@pytest.mark.parametrize(
    ("script", "certain"),
    [
        (attach_server.reject(401), True),
        (attach_server.reject(404), False),
        (attach_server.refuse("no", 1008), True),
        # The reference closes without a code, also when our own lost connection is still in its books.
        (attach_server.refuse("already has an active attachment", None), False),
    ],
)
async def test_a_refusal_says_whether_it_may_pass(
    script: attach_server.Script, certain: bool, server: AttachServer, config: AttachmentConfig
) -> None:
    server.scripts.append(script)
    with pytest.raises(AttachRefused) as refused:
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")
    assert refused.value.certain is certain


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("nonsense", "must be valid JSON"),
        ('{"op":"HELLO","version":"moltnet.attach.v9"}', "does not match"),
        ('{"op":"HELLO"}', "version is required"),
        ('{"op":"READY","version":"moltnet.attach.v1"}', "expected HELLO"),
    ],
)
async def test_a_server_with_another_protocol_is_refused_and_told_why(
    first: str, text: str, server: AttachServer, config: AttachmentConfig
) -> None:
    async def greet(peer: Peer) -> None:
        peer.websocket = await peer.request.accept()
        await peer.send(first)
        peer.session.hello()
        await peer.read()

    server.scripts.append(greet)
    with pytest.raises(AttachRefused, match=text):
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")
    (peer,) = server.peers
    await server.wait_until(lambda _: peer.close_code == 1008)
    assert text in peer.errors[0]


async def test_another_network_at_ready_is_refused(server: AttachServer, config: AttachmentConfig) -> None:
    async def other(peer: Peer) -> None:
        await peer.hello()
        await peer.identify()
        await peer.send('{"op":"READY","version":"moltnet.attach.v1","network_id":"other","agent_id":"agent-1"}')
        await peer.read()

    server.scripts.append(other)
    with pytest.raises(AttachRefused, match="does not match"):
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "must be valid JSON"),
        ('{"op":"HELLO","version":"moltnet.attach.v1"}', "unexpected frame op"),
        ('{"op":"ACK","cursor":"x"}', "unexpected frame op"),
        ('{"op":"EVENT","version":"moltnet.attach.v1"}', "needs a cursor"),
    ],
)
async def test_garbage_after_ready_is_a_loss_and_is_answered(
    text: str, complaint: str, server: AttachServer, config: AttachmentConfig
) -> None:
    server.scripts.append(attach_server.say(text))
    with pytest.raises(ConnectionLost, match="broke the protocol"):
        async with open_attachment(config, None, "", {}) as attachment:
            await anext(attachment)
    (peer,) = server.peers
    await server.wait_until(lambda _: peer.close_code == 1008)
    assert complaint in peer.errors[0]


async def test_an_error_after_ready_is_a_loss(server: AttachServer, config: AttachmentConfig) -> None:
    server.scripts.append(attach_server.say('{"op":"ERROR","version":"moltnet.attach.v1","error":"agent was removed"}'))
    with pytest.raises(ConnectionLost, match="agent was removed"):
        async with open_attachment(config, None, "", {}) as attachment:
            await anext(attachment)


async def test_a_frame_above_the_limit_is_a_loss(server: AttachServer, config: AttachmentConfig) -> None:
    server.scripts.append(attach_server.say("x" * (wire_limits.MAX_FRAME_BYTES + 1)))
    with pytest.raises(ConnectionLost, match="1009"):
        async with open_attachment(config, None, "", {}) as attachment:
            await anext(attachment)


async def test_a_server_that_falls_silent_is_a_loss(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moltnet.protocol.limits.READ_IDLE_SECONDS", 0.1)
    monkeypatch.setattr("moltnet.protocol.limits.HEARTBEAT_INTERVAL_MS", 10)
    server.scripts.append(attach_server.stay_silent)
    with pytest.raises(ConnectionLost, match="silent for too long"):
        async with open_attachment(config, None, "", {}) as attachment:
            await anext(attachment)


async def test_a_server_that_never_says_hello_is_a_loss(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept_only(peer: Peer) -> None:
        peer.websocket = await peer.request.accept()
        await peer.websocket.get_message()

    monkeypatch.setattr("moltnet.protocol.attachment.ClientSession.FIRST_FRAME_SECONDS", 0.1)
    server.scripts.append(accept_only)
    with pytest.raises(ConnectionLost, match="silent for too long"):
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")


async def test_an_upgrade_without_an_answer_is_a_loss(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_peer: Peer) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(limits, "UPGRADE_SECONDS", 0.1)
    server.scripts.append(wait)
    with pytest.raises(ConnectionLost, match="did not answer the upgrade"):
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")


async def test_nobody_at_the_address_is_a_loss(config: AttachmentConfig) -> None:
    link = attrs.evolve(config.server, base_url="http://127.0.0.1:1")
    with pytest.raises(ConnectionLost, match="refused"):
        async with open_attachment(attrs.evolve(config, server=link), None, "", {}):
            pytest.fail("attached")


async def test_a_server_that_takes_nothing_is_a_loss(autojump_clock: MockClock) -> None:
    class StuckConnection:
        async def send_message(self, _text: str) -> None:
            await trio.sleep_forever()

    websocket = WebSocket(StuckConnection())  # type: ignore[arg-type]  # only its writing is used
    with pytest.raises(ConnectionLost, match="took nothing"):
        await websocket.send("x")
    assert trio.current_time() == pytest.approx(limits.WRITE_SECONDS)


async def test_the_token_of_a_first_claim_is_on_disk_before_anything_else(
    server: AttachServer, config: AttachmentConfig, tmp_path: Path
) -> None:
    path = tmp_path / "tokens" / "agent-1"
    server.agent_token = "magt_v1_secret"
    async with open_attachment(claiming(config, path), None, "", {}):
        assert path.read_text() == "magt_v1_secret\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_minted_token_that_nobody_can_keep_is_refused(
    server: AttachServer, config: AttachmentConfig, tmp_path: Path
) -> None:
    server.agent_token = "magt_v1_secret"
    with pytest.raises(AttachRefused, match="there is no moltnet"):
        async with open_attachment(config, None, "", {}):
            pytest.fail("attached")
    (tmp_path / "file").write_text("")
    server.agent_token = "magt_v1_secret"
    with pytest.raises(AttachRefused, match="token is lost") as refused:
        async with open_attachment(claiming(config, tmp_path / "file" / "token"), None, "", {}):
            pytest.fail("attached")
    assert "magt_v1_secret" not in str(refused.value)


async def test_leaving_says_goodbye(server: AttachServer, config: AttachmentConfig) -> None:
    async with open_attachment(config, None, "", {}):
        (peer,) = server.peers
    await server.wait_until(lambda _: peer.close_code is not None)
    assert peer.close_code == 1000


async def test_leave_ends_the_iteration(server: AttachServer, config: AttachmentConfig) -> None:
    async with open_attachment(config, None, "", {}) as attachment:
        attachment.leave()
        assert [delivery async for delivery in attachment] == []


async def test_the_exception_of_the_block_comes_out_as_it_is(server: AttachServer, config: AttachmentConfig) -> None:
    with pytest.raises(KeyError, match="mine") as raised:
        async with open_attachment(config, None, "", {}):
            raise KeyError("mine")
    assert not isinstance(raised.value, ExceptionGroup)


@pytest.mark.parametrize("when", ["upgrade", "hello", "ready", "attached"])
async def test_a_cancellation_closes_the_socket(when: str, server: AttachServer, config: AttachmentConfig) -> None:
    waiting = trio.Event()

    async def pause(peer: Peer) -> None:
        if when != "upgrade":
            await peer.hello()
        if when in ("ready", "attached"):
            await peer.identify()
        if when == "attached":
            await peer.ready()
        waiting.set()
        await peer.gone.wait()

    server.scripts.append(pause)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_attach_for_ever, config)
        await waiting.wait()
        nursery.cancel_scope.cancel()
    await server.peers[0].gone.wait()


async def _attach_for_ever(config: AttachmentConfig) -> None:
    async with open_attachment(config, None, "", {}) as attachment:
        async for _ in attachment:
            pass
