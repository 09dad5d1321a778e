"""What an agent does with the credential that agents have, and no other: scopes attach and write, on a private network
and on an open one. Nothing here may need observe."""

from collections.abc import AsyncIterator
from typing import Final

import attrs
import pytest
import trio

from moltnet.client.agent import open_agent, to_dm, to_room, to_thread
from moltnet.client.api import open_client
from moltnet.config.settings import AuthMode, MoltnetConfig, Registration
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.messages import Message
from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server

# Each command line of an agent, and what its output shows.
COMMANDS: Final = {
    "conversations": (("conversations",), '"alpha-beta"'),
    "read a room": (("read", "--target", "room:general"), "begin"),
    "read a thread": (("read", "--target", "thread:general/t1"), "in the thread"),
    "read a DM": (("read", "--target", "dm:alpha-beta"), "between us"),
    "participants of a room": (("participants", "--target", "room:general"), '"beta"'),
    "participants of a DM": (("participants", "--target", "dm:alpha-beta"), '"beta"'),
    "send to a room": (("send", "--target", "room:general", "--text", "hello"), '"accepted": true'),
    "send to a thread": (("send", "--target", "thread:general/t2", "--text", "hello"), '"thread_created": true'),
    "send to a DM": (("send", "--target", "dm:alpha-beta", "--text", "hello"), '"accepted": true'),
    "begin a DM": (("send", "--target", "dm:new", "--to", "beta", "--text", "hello"), '"dm_created": true'),
    "dm": (("dm", "beta", "--text", "hello"), '"accepted": true'),
    "read by dm": (("dm", "beta"), "between us"),
    "thread": (("thread", "general"), '"t1"'),
    "search": (("search", "us", "between"), "between us"),
    "rooms": (("rooms",), '"general"'),
    "agents": (("agents",), '"alpha"'),
    "whoami": (("whoami",), '"alpha"'),
    "status": (("status",), '"reachable": true'),
    "doctor": (("doctor",), '"fine"'),
    "skill update": (("skill", "update", "--runtime", "codex", "--yes"), "general"),
    "approvals list": (("approvals", "list", "--config", ".moltnet/config.json"), '"approvals"'),
    "leave": (("leave",), "alpha"),
}
# About the agent's own claim and its token: a token that stands in the network's file is the operator's business.
OF_THE_CLAIM: Final = {
    "register-agent": (("register-agent",), '"agent_id": "alpha"'),
    "tokens list": (("tokens", "list", "--config", ".moltnet/config.json"), '"alpha"'),
}


def open_network() -> MoltnetConfig:
    config = bearer_network()
    (operator,) = (token for token in config.auth.tokens if token.id == "operator")
    auth = attrs.evolve(
        config.auth,
        mode=AuthMode.OPEN,
        public_read=True,
        agent_registration=Registration.OPEN,
        tokens=(operator,),
    )
    return attrs.evolve(config, auth=auth)


@pytest.fixture(params=["private", "open"])
async def url(request: pytest.FixtureRequest, workspace: Workspace) -> AsyncIterator[str]:
    """A network where alpha has said something in a room, in a thread and to beta; its workspace is here."""
    is_open = request.param == "open"
    async with open_running_server(open_network() if is_open else bearer_network()) as url:
        token = ALPHA_TOKEN
        if is_open:
            async with open_client(url, environ={}) as anybody:
                token = (await anybody.register_agent(RegisterAgentRequest("alpha", "Alpha"))).agent_token
        async with open_agent(url, "alpha", token, environ={}) as alpha:
            await alpha.send_text(to_room("general"), "begin")
            await alpha.send_text(to_thread("general", "t1"), "in the thread")
            await alpha.send_text(to_dm("alpha-beta", ("alpha", "beta")), "between us")
        workspace.write(attachment(url, auth={"mode": "open" if is_open else "bearer", "token": token}))
        yield url


@pytest.mark.parametrize("name", COMMANDS)
async def test_an_agent_s_own_credential_is_enough(run: Run, url: str, name: str) -> None:
    arguments, shown = COMMANDS[name]
    ran = await run(*arguments)
    assert ran.exit_code == 0, ran.stderr
    assert shown in ran.stdout


@pytest.mark.parametrize("name", OF_THE_CLAIM)
async def test_who_has_claimed_its_id_may_look_after_the_claim(
    run: Run, workspace: Workspace, url: str, name: str
) -> None:
    arguments, shown = OF_THE_CLAIM[name]
    ran = await run(*arguments)
    if workspace.attachment()["auth"]["mode"] == "open":
        assert (ran.exit_code, shown in ran.stdout) == (0, True), ran.stderr
    else:
        assert (ran.exit_code, "ask the operator" in ran.stderr) == (3, True)


async def test_an_agent_s_own_credential_is_enough_to_watch(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def keep(message: Message) -> None:
        shown.append(message.text)
        raise BrokenPipeError  # who reads has seen enough

    monkeypatch.setattr("moltnet.cli.watch.print_json_line", keep)
    monkeypatch.setattr("moltnet.cli.main.abandon_stdout", lambda: None)
    with trio.fail_after(20):
        ran = await run("watch", "--target", "dm:alpha-beta", "--last", "1", "--json")
    assert (ran.exit_code, shown) == (0, ["between us"])
