"""What a turn brings along: the workspace's client configuration, and the variables that `moltnet` finds it by."""

import json
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest

from bridge.config import AttachmentConfig, AuthMode, DirectBinding, RoomBinding, TokenSource
from bridge.policy import Wake, WakeReason
from bridge.render import render_body
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn
from bridge.settings import SandboxKind, SandboxSettings
from bridge.turns import TurnMaker
from moltnet.config.client import load_client_config, select_attachment
from moltnet.config.secrets import Secret
from moltnet.protocol.ids import AgentId, RoomId
from tests.fakes.attachments import attachment_config
from tests.fakes.messages import NETWORK, created, message, sender


def bound(directory: Path, token: TokenSource | None = None, mode: AuthMode = AuthMode.BEARER) -> AttachmentConfig:
    config = attachment_config(directory)
    return attrs.evolve(
        config,
        server=attrs.evolve(config.server, auth_mode=mode if token else AuthMode.NONE, token=token),
        rooms=(RoomBinding(RoomId("general")),),
        dms=DirectBinding(enabled=True),
    )


async def make(config: AttachmentConfig, environ: dict[str, str] | None = None) -> Turn:
    wakes = []
    for id, author in (("msg_1", "alpha"), ("msg_2", "beta")):
        said = message(id, sender=sender(author), mentions=("x",))
        wakes.append(Wake(created(said).id, "c", said, WakeReason.MENTION, render_body(said)))
    conversation = Conversation.of_target(NETWORK, message().target)
    return await TurnMaker(config, environ or {}).make(conversation, wakes, frozenset())


def written(config: AttachmentConfig) -> Any:
    assert config.runtime.workspace_path is not None
    return json.loads((config.runtime.workspace_path / ".moltnet" / "config.json").read_text())


async def test_a_turn_names_its_newest_message(tmp_path: Path) -> None:
    turn = await make(bound(tmp_path))
    assert (turn.message_id, turn.sender, turn.reason) == ("msg_2", "molt://net/agents/beta", "mention")
    assert "Queued messages: 2" in turn.prompt


async def test_moltnet_finds_network_and_member_from_any_directory(tmp_path: Path) -> None:
    """Weakness 10 of the reference: the path that it gave was relative to another directory."""
    config = bound(tmp_path, TokenSource(inline=Secret("secret-token")))
    turn = await make(config)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    found = load_client_config(None, turn.environment, elsewhere)
    attachment = select_attachment(
        found, network=turn.environment["MOLTNET_NETWORK"], member=turn.environment["MOLTNET_MEMBER"]
    )
    assert (attachment.network_id, attachment.member_id) == ("net", "agent-1")
    assert attachment.base_url == config.server.base_url
    assert [room.id for room in attachment.rooms] == ["general"]
    assert attachment.dms.enabled
    assert attachment.token is not None
    assert attachment.token.resolve(turn.environment) == "secret-token"


async def test_the_token_is_in_the_environment_and_not_in_the_workspace(tmp_path: Path) -> None:
    """Weakness 11 of the reference: tokens were copied into the workspace."""
    config = bound(tmp_path, TokenSource(env="AGENT_TOKEN"))
    turn = await make(config, {"AGENT_TOKEN": "secret-token"})
    assert turn.environment["MOLTNET_TOKEN"] == "secret-token"
    assert "secret-token" not in repr(turn)
    entry = written(config)["attachments"][0]
    assert entry["auth"] == {"mode": "bearer", "token_env": "MOLTNET_TOKEN"}
    for path in (tmp_path / "workspace").rglob("*"):
        if path.is_file():
            assert b"secret-token" not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_without_a_credential_there_is_none(tmp_path: Path) -> None:
    config = bound(tmp_path)
    turn = await make(config)
    assert "MOLTNET_TOKEN" not in turn.environment
    assert written(config)["attachments"][0]["auth"] == {"mode": "none"}


async def test_attachments_that_share_a_workspace_keep_each_other(tmp_path: Path) -> None:
    config = bound(tmp_path)
    other = attrs.evolve(config, agent=attrs.evolve(config.agent, id=AgentId("agent-2")))
    for each in (config, other, config):
        await make(each)
    assert [entry["member_id"] for entry in written(config)["attachments"]] == ["agent-1", "agent-2"]


async def test_a_workspace_that_cannot_be_written_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / ".moltnet").write_text("in the way")
    with pytest.raises(RuntimeMisconfigured, match="config"):
        await make(bound(tmp_path))


async def test_a_link_out_of_a_sandbox_is_not_written_through(tmp_path: Path) -> None:
    config = bound(tmp_path)
    sandboxed = attrs.evolve(config.runtime, sandbox=SandboxSettings(SandboxKind.BUBBLEWRAP))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "workspace" / ".moltnet").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeMisconfigured, match="is a link"):
        await make(attrs.evolve(config, runtime=sandboxed))
    assert list((tmp_path / "elsewhere").iterdir()) == []
    await make(config)
    assert (tmp_path / "elsewhere" / "config.json").exists()


async def test_a_credential_that_is_gone_is_misconfigured(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match="AGENT_TOKEN"):
        await make(bound(tmp_path, TokenSource(env="AGENT_TOKEN")))


async def test_a_runtime_without_a_workspace_gets_the_variables_only(tmp_path: Path) -> None:
    config = bound(tmp_path)
    turn = await make(attrs.evolve(config, runtime=attrs.evolve(config.runtime, workspace_path=None)))
    assert set(turn.environment) == {"MOLTNET_NETWORK", "MOLTNET_MEMBER"}
