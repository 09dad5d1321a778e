"""The rules of one attachment: agent, server, token, rooms and DMs, in both generations of policy keys.

A node file applies them to each of its entries, with its own block as the server; a bridge file brings everything.
"""

from pathlib import Path

import attrs

from bridge.attachment_file import AttachmentKeys, ServerKeys, TokenKeys
from bridge.brake_rules import brake_settings
from bridge.limits import MAX_CONTEXT_MESSAGES
from bridge.runtime_rules import runtime_config
from bridge.runtimes.plugins import check_plugin
from bridge.settings import (
    AgentSettings,
    AttachmentConfig,
    BrakeSettings,
    DirectBinding,
    RoomBinding,
    RuntimeKind,
    ServerLink,
    state_name,
)
from moltnet.config.names import name_problem
from moltnet.config.problems import Findings
from moltnet.config.secrets import TokenSource, placeholder_problem
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.urls import base_url, url_problem
from moltnet.config.wake import PolicyKeys
from moltnet.protocol.ids import AgentId, NetworkId, RoomId, id_problem


@attrs.frozen(eq=False)
class AttachmentRules:
    """``server`` is the block at ``$.moltnet`` that all attachments of the file share; ``directory`` is the file's
    own, where relative paths start; ``state_path`` is where each attachment gets a directory."""

    findings: Findings
    server: ServerKeys
    directory: Path
    state_path: Path
    defaults: PolicyKeys = attrs.field(factory=PolicyKeys)
    brakes: BrakeSettings = attrs.field(factory=BrakeSettings)

    def check_server(self) -> None:
        """The shared block by itself; what depends on an attachment's token is checked with the attachment."""
        keys, url, network_id = self.server, self.server.base_url.strip(), self.server.network_id.strip()
        self._note("$.moltnet.base_url", url_problem(url) if url else "is required")
        self._note("$.moltnet.network_id", id_problem(network_id) if network_id else "is required")
        self.findings.choice("$.moltnet.auth_mode", keys.auth_mode, AuthMode.NONE)
        self.findings.choice("$.moltnet.registration", keys.registration, Registration.DISABLED)
        if keys.static_token and self.mode(keys) is not AuthMode.OPEN:
            self._note("$.moltnet.static_token", "needs auth_mode open")
        self._check_inline(keys, "$.moltnet")

    def mode(self, token: TokenKeys) -> AuthMode:
        """The mode that holds with ``token``: what the file says, else bearer if there is a token."""
        text = self.server.auth_mode.strip()
        if text in tuple(AuthMode):
            return AuthMode(text)
        return AuthMode.BEARER if token.any else AuthMode.NONE

    def attachment(self, keys: AttachmentKeys, path: str) -> AttachmentConfig:
        """The attachment at ``path`` (``$`` for a whole bridge file)."""
        agent = self._agent(keys, path)
        policy = keys.checked(self.findings, path).inheriting(self.defaults)
        self._context(keys.context_messages, 0, path)
        network_id = NetworkId(self.server.network_id.strip())
        state_dir = self.state_path / state_name(network_id) / state_name(agent.id)
        config = AttachmentConfig(
            agent=agent,
            server=self._link(keys, path, network_id),
            runtime=runtime_config(
                keys.runtime,
                self.findings,
                f"{path}.runtime",
                directory=self.directory,
                agent_id=agent.id,
                state_dir=state_dir,
            ),
            rooms=self._rooms(keys, f"{path}.rooms", policy),
            dms=DirectBinding(
                enabled=keys.dms.enabled,
                wake=keys.dms.checked(self.findings, f"{path}.dms").inheriting(policy).direct_wake(),
                context_messages=self._context(keys.dms.context_messages, keys.context_messages, f"{path}.dms"),
            ),
            brakes=brake_settings(keys.brakes, self.brakes, self.findings, f"{path}.brakes"),
            publish_output=keys.publish_output,
            state_dir=state_dir,
        )
        if config.runtime.kind not in tuple(RuntimeKind):
            check_plugin(config, self.findings, f"{path}.runtime")
        return config

    def _note(self, path: str, problem: str | None) -> None:
        if problem:
            self.findings.add(path, problem)

    def _agent(self, keys: AttachmentKeys, path: str) -> AgentSettings:
        agent_id, name = keys.agent.id.strip(), keys.agent.name.strip()
        self._note(f"{path}.agent.id", id_problem(agent_id) if agent_id else "is required")
        self._note(f"{path}.agent.name", name_problem(name))
        return AgentSettings(AgentId(agent_id), name or agent_id)

    def _link(self, keys: AttachmentKeys, path: str, network_id: NetworkId) -> ServerLink:
        own = keys.moltnet.any
        token = keys.moltnet if own else self.server
        mode = self.mode(token)
        if own:
            self._check_inline(keys.moltnet, f"{path}.moltnet")
        if mode is not AuthMode.NONE and not token.any:
            self._note(f"{path}.moltnet.token", f"is required in mode {mode} (or token_env, or token_path)")
        url = self.server.base_url.strip()
        return ServerLink(
            base_url=base_url(url) if url and url_problem(url) is None else url,
            network_id=network_id,
            auth_mode=mode,
            token=None if mode is AuthMode.NONE else self.source(token),
            shares_token=not own,
        )

    def source(self, token: TokenKeys) -> TokenSource | None:
        return TokenSource.choose(
            token=token.token, token_env=token.token_env, token_path=token.token_path, directory=self.directory
        )

    def _check_inline(self, token: TokenKeys, path: str) -> None:
        if token.token:
            text = token.token.reveal().strip()
            self._note(f"{path}.token", placeholder_problem(text) if text else "is blank")

    def _context(self, own: int | None, default: int, path: str) -> int:
        if own is not None and not 0 <= own <= MAX_CONTEXT_MESSAGES:
            self._note(f"{path}.context_messages", f"must be from 0 to {MAX_CONTEXT_MESSAGES}")
        return default if own is None else own

    def _rooms(self, attachment: AttachmentKeys, path: str, policy: PolicyKeys) -> tuple[RoomBinding, ...]:
        seen: dict[str, int] = {}
        bindings: list[RoomBinding] = []
        for index, keys in enumerate(attachment.rooms):
            place, room_id = f"{path}[{index}]", keys.id.strip()
            problem = id_problem(room_id) if room_id else "is required"
            if problem is None and (first := seen.setdefault(room_id, index)) != index:
                problem = f"is already bound by rooms[{first}]"
            self._note(f"{place}.id", problem)
            wake = keys.checked(self.findings, place).inheriting(policy).room_wake()
            context = self._context(keys.context_messages, attachment.context_messages, place)
            bindings.append(RoomBinding(RoomId(room_id), wake, context))
        return tuple(bindings)
