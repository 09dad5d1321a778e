"""Which token is used when."""

from pathlib import Path

import attrs
import pytest

from bridge.config import AttachmentConfig, AuthMode, TokenSource
from bridge.errors import AttachRefused
from tests.fakes.attach_server import AttachServer
from tests.fakes.lives import living
from tests.fakes.messages import created, message
from tests.fakes.runtime import FakeRuntime

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_claimed_token_is_used_from_then_on(
    server: AttachServer, config: AttachmentConfig, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    link = attrs.evolve(config.server, auth_mode=AuthMode.OPEN, token=TokenSource(path=path))
    server.agent_token = "magt_v1_minted"
    async with living(attrs.evolve(config, server=link), runtime := FakeRuntime()):
        await server.wait_attached()
        server.publish(wake := created(message("msg_1")))
        await server.wait_acked(wake)
        await server.peers[0].drop()
        await server.wait_attached(2)
    assert ["authorization" in peer.headers for peer in server.peers] == [False, True]
    assert server.peers[1].headers["authorization"] == "Bearer magt_v1_minted"
    assert runtime.turns[0].environment["MOLTNET_TOKEN"] == "magt_v1_minted"


async def test_a_rotated_token_is_used_for_the_next_connection_and_turn(
    server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 11 of the reference: a token was read once per process."""
    link = attrs.evolve(config.server, auth_mode=AuthMode.BEARER, token=TokenSource(env="AGENT_TOKEN"))
    environ = {"AGENT_TOKEN": "first"}
    async with living(attrs.evolve(config, server=link), runtime := FakeRuntime(), environ):
        await server.wait_attached()
        environ["AGENT_TOKEN"] = "second"
        server.publish(wake := created(message("msg_1")))
        await server.wait_acked(wake)
        await server.peers[0].drop()
        await server.wait_attached(2)
    assert [peer.headers["authorization"] for peer in server.peers] == ["Bearer first", "Bearer second"]
    assert runtime.turns[0].environment["MOLTNET_TOKEN"] == "second"


async def test_a_missing_token_is_refused_by_its_name(server: AttachServer, config: AttachmentConfig) -> None:
    link = attrs.evolve(config.server, auth_mode=AuthMode.BEARER, token=TokenSource(env="AGENT_TOKEN"))
    async with living(attrs.evolve(config, server=link), expected=AttachRefused) as life:
        await life.ended.wait()
    assert "AGENT_TOKEN" in str(life.error)
    assert server.peers == []
