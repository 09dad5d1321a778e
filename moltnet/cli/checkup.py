"""What `moltnet doctor` looks at: one attachment of a workspace, from its token to its rooms.

Each check says what it found and what to do about it; a check that cannot be made any more is left out.
"""

import os
from collections.abc import Iterator
from enum import StrEnum
from http import HTTPStatus

import attrs

from moltnet.cli.exit_codes import ExitCode
from moltnet.cli.failures import explain
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ClientError, ServerAnswered
from moltnet.config.client import ClientAttachment
from moltnet.config.secrets import TokenUnavailable
from moltnet.protocol.agents import AgentSummary
from moltnet.protocol.ids import AgentId
from moltnet.protocol.network import HTTP_PROTOCOL, Network
from moltnet.protocol.rooms import Room
from moltnet.protocol.sessions import WhoAmI


class Verdict(StrEnum):
    FINE = "fine"
    NOTE = "note"
    """It works, but perhaps not as it is meant."""
    PROBLEM = "problem"


@attrs.frozen
class Finding:
    """One check's result. ``exit_code`` says what kind of problem it is."""

    verdict: Verdict
    text: str
    next_step: str = ""
    exit_code: ExitCode = ExitCode.OK


@attrs.define(eq=False)
class Checkup:
    """The findings about one attachment, in the order of the checks."""

    attachment: ClientAttachment
    findings: list[Finding] = attrs.Factory(list)

    def token(self) -> bool:
        """Whether the token is there, if one is configured."""
        source = self.attachment.token
        if source is None:
            self._fine("no token is configured")
            return True
        try:
            source.resolve(os.environ)
        except TokenUnavailable as error:
            self._problem(str(error), "put it there, or set another source with: moltnet connect", ExitCode.USAGE)
            return False
        self._fine("the token is there")
        return True

    async def server(self, client: MoltnetClient) -> None:
        """Everything that only the server knows. Raises nothing that a call raises."""
        try:
            network = await client.network()
            self._network(network)
            await self._credential(client)
            await self._agent(client)
            for room in self.attachment.rooms:
                await self._room(client, room.id)
            if self.attachment.dms.enabled and not network.capabilities.direct_messages:
                self._note("the network has no direct messages", "moltnet connect … --enable-dms=false")
        except ClientError as error:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """The rest can't be looked at."""
        failure = explain(error)
        self._problem(failure.text, "", failure.exit_code)

    def _network(self, network: Network) -> None:
        wanted = self.attachment.network_id
        if network.id == wanted:
            self._fine(f"the server answers as {network.id} ({network.name}, version {network.version or 'unknown'})")
        else:
            self._problem(
                f"the server's network is {network.id!r}, not {wanted!r}",
                "check the address, or connect to that network with: moltnet connect",
                ExitCode.USAGE,
            )
        if network.protocols.http and HTTP_PROTOCOL not in network.protocols.http:
            self._problem(f"the server does not speak {HTTP_PROTOCOL}", "moltnet update --check", ExitCode.SERVER)
        for warning in network.warnings:
            self._note(warning.message, warning.action)

    async def _credential(self, client: MoltnetClient) -> None:
        try:
            who = await client.who_am_i()
        except ServerAnswered as answer:
            if answer.status != HTTPStatus.NOT_FOUND:
                raise
            return  # servers of other makes do not tell
        self.findings.extend(credential_findings(who, AgentId(self.attachment.member_id)))

    async def _agent(self, client: MoltnetClient) -> None:
        member_id = self.attachment.member_id
        try:
            agent = await client.agent(member_id)
        except ServerAnswered as answer:
            if answer.status == HTTPStatus.FORBIDDEN:
                return
            if answer.status != HTTPStatus.NOT_FOUND:
                raise
            self._problem(f"{member_id} is not registered", "moltnet register-agent", ExitCode.NOT_FOUND)
            return
        self._presence(agent)

    def _presence(self, agent: AgentSummary) -> None:
        if agent.connected:
            self._fine(f"{agent.id} is registered and connected")
        else:
            self._note(f"{agent.id} is registered, and nothing is connected as it", "start its node or bridge")

    async def _room(self, client: MoltnetClient, room_id: str) -> None:
        try:
            room = await client.room(room_id)
        except ServerAnswered as answer:
            if answer.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
            self._problem(
                f"room {room_id} is not there, or not for this agent",
                "ask the operator to make it a member; moltnet rooms lists what it may see",
                ExitCode.NOT_FOUND,
            )
            return
        self._access(room)

    def _access(self, room: Room) -> None:
        if room.access is None or room.access.can_write:
            self._fine(f"room {room.id} can be read and written")
        else:
            self._note(f"room {room.id} can be read, not written: {room.access.reason}", "")

    def _fine(self, text: str) -> None:
        self.findings.append(Finding(Verdict.FINE, text))

    def _note(self, text: str, next_step: str) -> None:
        self.findings.append(Finding(Verdict.NOTE, text, next_step))

    def _problem(self, text: str, next_step: str, exit_code: ExitCode) -> None:
        self.findings.append(Finding(Verdict.PROBLEM, text, next_step, exit_code))


def credential_findings(who: WhoAmI, member_id: AgentId) -> Iterator[Finding]:
    """What a credential's worth means for an agent that talks and may be woken."""
    if who.agents and member_id not in who.agents:
        text = f"the token is for {', '.join(who.agents)}, not for {member_id}"
        yield Finding(Verdict.PROBLEM, text, "use that agent's own token", ExitCode.AUTH)
    elif who.kind == "anonymous":
        yield Finding(Verdict.NOTE, "the server is asked without a token", "claim the id: moltnet register-agent")
    else:
        yield Finding(Verdict.FINE, f"the server accepts the token: {', '.join(who.scopes) or 'no scopes'}")
    if who.kind == "static":
        for scope, what in (("write", "send"), ("attach", "be woken")):
            if scope not in who.scopes:
                text = f"the token lacks the scope {scope}: the agent cannot {what}"
                yield Finding(Verdict.NOTE, text, "ask the operator for a token with that scope")
