"""The look at a server before an attachment: right network, compatible, reachable, and what each no means."""

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode, DirectBinding, TokenSource
from bridge.errors import AttachRefused, ConnectionLost, Incompatible
from bridge.preflight import check_server, incompatibilities
from moltnet.protocol.network import Capabilities, Network, Protocols
from tests.fakes.attach_server import NETWORK, AttachServer
from tests.fakes.attachments import attachment_config

OLD = attrs.evolve(NETWORK, protocols=Protocols())


def with_capabilities(**changes: Any) -> Network:
    return attrs.evolve(NETWORK, capabilities=attrs.evolve(NETWORK.capabilities, **changes))


@pytest.mark.parametrize(
    ("network", "problems"),
    [
        (NETWORK, []),
        (OLD, []),
        (attrs.evolve(NETWORK, id="other"), ['its network is "other", not "net"']),
        (
            attrs.evolve(NETWORK, protocols=Protocols(http=("moltnet.http.v2",), attach=("moltnet.attach.v1",))),
            ["it speaks moltnet.http.v2 as protocols.http, we need moltnet.http.v1"],
        ),
        (
            attrs.evolve(NETWORK, protocols=Protocols(http=("moltnet.http.v1",))),
            ["it speaks nothing as protocols.attach, we need moltnet.attach.v1"],
        ),
        (
            attrs.evolve(OLD, capabilities=Capabilities(attachment_protocol="websocket", direct_messages=True)),
            ["it names no protocols"],
        ),
        (
            with_capabilities(attachment_protocol="pigeon"),
            ['its attachment_protocol is "pigeon", we need "websocket"'],
        ),
        (with_capabilities(direct_messages=False), ["dms.enabled is set, and it has no direct messages"]),
        (Network(), ['its network is "", not "net"', "it names no protocols"]),
    ],
)
def test_a_network_fits_or_says_why_not(network: Network, problems: list[str], tmp_path: Path) -> None:
    config = attrs.evolve(attachment_config(tmp_path), dms=DirectBinding(enabled=True))
    assert list(incompatibilities(network, config))[: len(problems) or None] == problems


def test_direct_messages_are_only_needed_by_who_wants_them(tmp_path: Path) -> None:
    assert list(incompatibilities(with_capabilities(direct_messages=False), attachment_config(tmp_path))) == []


async def test_a_fitting_server_is_asked_once_with_the_token(server: AttachServer, config: AttachmentConfig) -> None:
    await check_server(config, "secret", {})
    assert [headers["authorization"] for headers in server.asked] == ["Bearer secret"]


async def test_a_wrong_network_is_incompatible(server: AttachServer, config: AttachmentConfig) -> None:
    server.network = attrs.evolve(NETWORK, id="other")
    with pytest.raises(Incompatible, match='"other", not "net"'):
        await check_server(config, None, {})


@pytest.mark.parametrize(
    ("status", "error", "certain"),
    [
        (401, AttachRefused, True),
        (403, AttachRefused, True),
        (404, AttachRefused, False),
        (429, ConnectionLost, None),
        (500, ConnectionLost, None),
        (503, ConnectionLost, None),
    ],
)
async def test_an_answer_other_than_yes_is_a_refusal_or_passes(
    status: int, error: type[Exception], certain: bool | None, server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 3 of the reference: an unreachable server was fatal, and a refusal was tried again for ever."""
    server.network = status
    with pytest.raises(error) as raised:
        await check_server(config, "secret", {})
    assert getattr(raised.value, "certain", None) is certain
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "token", "advice"),
    [
        (401, "secret", "the token is unknown, revoked or another network's"),
        (401, None, "the network asks for a token, and this attachment has none"),
        (403, "secret", "the token needs the scope attach"),
    ],
)
async def test_a_refused_token_is_told_apart_from_one_without_the_scope(
    status: int, token: str | None, advice: str, server: AttachServer, config: AttachmentConfig
) -> None:
    server.network = status
    with pytest.raises(AttachRefused) as refused:
        await check_server(config, token, {})
    assert advice in str(refused.value)
    assert ("scope" in str(refused.value)) == (status == 403)


async def test_who_has_yet_to_claim_an_id_may_be_refused_to_look(
    server: AttachServer, config: AttachmentConfig, tmp_path: Path
) -> None:
    """Weakness 9 of the reference: a first claim was impossible where only registration is open."""
    link = attrs.evolve(config.server, auth_mode=AuthMode.OPEN, token=TokenSource(path=tmp_path / "token"))
    server.network = 401
    await check_server(attrs.evolve(config, server=link), None, {})
    with pytest.raises(AttachRefused):
        await check_server(config, None, {})


async def test_nobody_at_the_address_passes(config: AttachmentConfig) -> None:
    link = attrs.evolve(config.server, base_url="http://127.0.0.1:1")
    with pytest.raises(ConnectionLost):
        await check_server(attrs.evolve(config, server=link), None, {})


async def test_something_else_at_the_address_is_refused_and_may_pass(config: AttachmentConfig) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, answer, 0)
        port = listeners[0].socket.getsockname()[1]
        link = attrs.evolve(config.server, base_url=f"http://localhost:{port}")
        with pytest.raises(AttachRefused) as refused:
            await check_server(attrs.evolve(config, server=link), None, {})
        assert not refused.value.certain
        nursery.cancel_scope.cancel()


async def test_a_server_that_never_answers_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PREFLIGHT_SECONDS", 0.1)
    async with trio.open_nursery() as nursery:

        async def wait(_stream: trio.SocketStream) -> None:
            await trio.sleep_forever()

        listeners = await nursery.start(trio.serve_tcp, wait, 0)
        config = attachment_config(tmp_path)
        link = attrs.evolve(config.server, base_url=f"http://localhost:{listeners[0].socket.getsockname()[1]}")
        with pytest.raises(ConnectionLost, match="did not answer within"):
            await check_server(attrs.evolve(config, server=link), None, {})
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("base_url", "token"), [("ftp://net", None), ("http://127.0.0.1:1", "two words")])
async def test_what_cannot_be_sent_is_refused(base_url: str, token: str | None, tmp_path: Path) -> None:
    config = attachment_config(tmp_path)
    link = attrs.evolve(config.server, base_url=base_url)
    with pytest.raises(AttachRefused) as refused:
        await check_server(attrs.evolve(config, server=link), token, {})
    assert "two words" not in str(refused.value)
