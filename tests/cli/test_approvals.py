"""`moltnet approvals …` against the real server: what an operator sees, decides and is told."""

from collections.abc import AsyncIterator

import attrs
import pytest

from moltnet.cli.target import parse_target
from moltnet.config.settings import AuthMode
from moltnet.core.approvals import request_approval
from moltnet.protocol.approvals import RequestApprovalRequest, approval_id_of
from moltnet.protocol.ids import event_id_of_message
from tests.cli.conftest import Ran, Run, Workspace
from tests.fakes.credentials import static
from tests.fakes.network import (
    TestServer,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    secret_of,
    token,
)

CONFIG = network_config(
    mode=AuthMode.BEARER,
    tokens=[token("ops", "admin"), token("watch", "observe"), token("agents", "attach write", "alpha")],
    rooms=[room("general", "alpha")],
)
AGENTS = static("attach write", "alpha", token_id="agents")
FIRST, SECOND = (approval_id_of("alpha", event_id_of_message(name)) for name in ("m1", "m2"))


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestServer]:
    """Two messages wait to wake alpha. The operator's token is in the environment."""
    monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", secret_of("ops"))
    async with open_test_server(CONFIG) as server:
        for name in ("m1", "m2"):
            message = room_message(f"@alpha {name}", sender="beta", message_id=name)
            await post(server.app, message, static("admin write", token_id="ops"))
            asked = RequestApprovalRequest(event_id_of_message(name), "mention")
            await request_approval(server.app.context, "alpha", asked, AGENTS)
        yield server


async def approvals(run: Run, server: TestServer, *arguments: str, terminal: bool = False) -> Ran:
    return await run("approvals", *arguments, "--base-url", server.url, terminal=terminal)


async def test_what_waits_is_listed_decided_and_shown(run: Run, workspace: Workspace, server: TestServer) -> None:
    listed = (await approvals(run, server, "list")).json()["approvals"]
    assert [(each["id"], each["state"]) for each in listed] == [(FIRST, "pending"), (SECOND, "pending")]
    approved = await approvals(run, server, "approve", FIRST, "--note", "fine")
    assert (approved.exit_code, approved.json()["state"], approved.json()["note"]) == (0, "approved", "fine")
    denied = await approvals(run, server, "deny", SECOND)
    assert denied.json()["state"] == "denied"
    assert (await approvals(run, server, "list")).json()["approvals"] == []
    every = (await approvals(run, server, "list", "--state", "any", "--agent", "alpha", "--limit", "1")).json()
    assert ([each["id"] for each in every["approvals"]], every["page"]["next_before"]) == ([SECOND], SECOND)
    older = (await approvals(run, server, "list", "--state", "any", "--before", SECOND)).json()
    assert [each["id"] for each in older["approvals"]] == [FIRST]
    assert (await approvals(run, server, "show", FIRST)).json() == approved.json()


async def test_people_see_tables(run: Run, workspace: Workspace, server: TestServer) -> None:
    table = (await approvals(run, server, "list", terminal=True)).stdout.splitlines()
    assert table[0].split() == ["APPROVAL", "AGENT", "FROM", "WHERE", "REASON", "STATE", "EXPIRES"]
    assert table[1].split()[:6] == [FIRST, "alpha", "molt://lab/agents/beta", "room:general", "mention", "pending"]
    assert len(table) == 3
    cut = await approvals(run, server, "list", "--limit", "1", terminal=True)
    assert f"there are older ones: --before {SECOND}" in cut.stderr
    shown = (await approvals(run, server, "deny", FIRST, "--note", "\x1b[31mred", terminal=True)).stdout
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert (lines["state"], lines["by"], lines["where"]) == ("denied", "token:ops", "room:general")
    assert "\x1b" not in shown
    assert (await approvals(run, server, "list", "--state", "expired", terminal=True)).stdout == ""


@pytest.mark.parametrize("where", ["room:general", "thread:general/t1"])
async def test_where_a_message_waits_is_told_as_send_takes_it(
    run: Run, workspace: Workspace, server: TestServer, where: str
) -> None:
    message = attrs.evolve(
        room_message("@alpha third", room="general", sender="beta"), id="m3", target=parse_target(where)
    )
    await post(server.app, message, static("admin write", token_id="ops"))
    asked = RequestApprovalRequest(event_id_of_message("m3"), "mention")
    await request_approval(server.app.context, "alpha", asked, AGENTS)
    listed = (await approvals(run, server, "list", terminal=True)).stdout.splitlines()
    assert listed[-1].split()[3] == where


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("show", "apr_nothing"), 4, "moltnet approvals list"),
        (("approve", "apr_nothing"), 4, "unknown approval"),
        (("list", "--state", "maybe"), 2, "maybe"),
        (("list", "--before", "apr_nothing"), 2, "not part of this list"),
        (("deny", FIRST, "--note", "x" * 2000), 2, "1024"),
        (("approve",), 2, "APPROVAL"),
    ],
)
async def test_what_goes_wrong_has_its_exit_code(
    run: Run, workspace: Workspace, server: TestServer, arguments: tuple[str, ...], exit_code: int, says: str
) -> None:
    ran = await approvals(run, server, *arguments)
    assert ran.exit_code == exit_code
    assert says in ran.stderr


async def test_who_is_second_is_told_who_was_first(run: Run, workspace: Workspace, server: TestServer) -> None:
    await approvals(run, server, "deny", FIRST)
    late = await approvals(run, server, "approve", FIRST)
    assert late.exit_code == 5
    assert "was denied at" in late.stderr
    assert "by token:ops" in late.stderr


async def test_who_may_look_may_not_decide(
    run: Run, workspace: Workspace, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", secret_of("watch"))
    assert len((await approvals(run, server, "list")).json()["approvals"]) == 2
    assert (await approvals(run, server, "approve", FIRST)).exit_code == 3
