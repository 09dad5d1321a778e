"""`moltnet register-agent`: where the claim goes, and where its token stays."""

import pytest

from tests.cli.conftest import Run, Workspace, attachment
from tests.cli.test_connect import CLAIMED, NETWORK, REFRESHED, REGISTRATION
from tests.fakes.http_server import answer, open_scripted_server

OPEN = {"mode": "open", "registration": "open"}


async def test_the_attachment_says_where_and_who_and_keeps_the_token(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, CLAIMED) as server:
        workspace.write(attachment(server.url, auth=OPEN))
        ran = await run("register-agent")
    assert ran.exit_code == 0
    assert ran.json() == REGISTRATION
    assert workspace.attachment()["auth"] == {**OPEN, "token": "magt_v1_minted"}
    assert server.requests[1].json() == {"requested_agent_id": "alpha", "name": "Alpha"}
    assert (workspace.path / ".moltnet/identity.json").exists()
    assert "magt_v1" not in ran.stdout + ran.stderr


async def test_a_token_file_keeps_the_token(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, CLAIMED, CLAIMED) as server:
        workspace.write(attachment(server.url, auth={**OPEN, "token_path": "tokens/alpha"}))
        assert (await run("register-agent")).json() == REGISTRATION
        assert workspace.attachment()["auth"] == {**OPEN, "token_path": "tokens/alpha"}
        assert (workspace.path / ".moltnet/tokens/alpha").read_text() == "magt_v1_minted\n"
        ran = await run("register-agent", "--base-url", server.url, "--agent", "alpha", "--token-path", "other.token")
    assert ran.exit_code == 0
    assert (workspace.path / "other.token").read_text() == "magt_v1_minted\n"
    assert "magt_v1" not in ran.stdout + ran.stderr


async def test_a_token_that_is_kept_nowhere_is_printed(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(CLAIMED) as server:
        ran = await run(
            "register-agent", "--base-url", server.url, "--agent", "alpha", "--name", "A", "--write-identity=false"
        )
    assert ran.exit_code == 0
    assert ran.json() == {**REGISTRATION, "agent_token": "magt_v1_minted"}
    assert "save agent_token" in ran.stderr
    assert not (workspace.path / ".moltnet").exists()


async def test_the_server_may_choose_the_id(run: Run) -> None:
    async with open_scripted_server(CLAIMED) as server:
        ran = await run("register-agent", "--base-url", server.url, "--name", "Alpha")
    assert ran.exit_code == 0
    assert server.requests[0].json() == {"name": "Alpha"}


async def test_a_known_agent_presents_its_token(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, REFRESHED) as server:
        workspace.write(attachment(server.url))
        ran = await run("register-agent")
    assert ran.exit_code == 0
    assert server.requests[1].headers["authorization"] == "Bearer token-of-alpha-0123456789"
    assert workspace.attachment() == attachment(server.url)


async def test_another_agent_may_use_the_address_and_credential_of_the_network(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, REFRESHED) as server:
        workspace.write(attachment(server.url))
        ran = await run("register-agent", "--agent", "beta")
    assert ran.exit_code == 0
    assert server.requests[1].json() == {"requested_agent_id": "beta"}
    assert server.requests[1].headers["authorization"] == "Bearer token-of-alpha-0123456789"


async def test_an_id_whose_token_would_be_lost_is_not_claimed(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1", auth=OPEN))
    ran = await run("register-agent", "--agent", "beta")
    assert ran.exit_code == 2
    assert "no attachment of beta that could keep its token" in ran.stderr


async def test_a_taken_id_is_a_conflict_that_says_what_to_do(run: Run) -> None:
    refusal = {"code": "agent_owned_by_other", "error": 'agent "alpha" is already registered', "request_id": "r"}
    async with open_scripted_server(answer(409, refusal)) as server:
        ran = await run("register-agent", "--base-url", server.url, "--agent", "alpha")
    assert ran.exit_code == 5
    assert "already registered" in ran.stderr
    assert "choose another id" in ran.stderr


async def test_without_address_and_configuration_it_says_what_is_missing(run: Run) -> None:
    ran = await run("register-agent", "--agent", "alpha")
    assert ran.exit_code == 2
    assert "moltnet connect" in ran.stderr


async def test_a_stored_token_does_not_go_to_another_address(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://chat.example.org"))
    ran = await run("register-agent", "--config", str(workspace.config), "--base-url", "http://evil.invalid")
    assert ran.exit_code == 5
    assert "belongs to http://chat.example.org" in ran.stderr


@pytest.mark.parametrize("network", ["net_b", "net_c"])
async def test_the_network_may_be_chosen(run: Run, workspace: Workspace, network: str) -> None:
    workspace.write(attachment("http://127.0.0.1:1"), attachment("http://127.0.0.1:2", network_id="net_b"))
    ran = await run("register-agent", "--network", network, "--timeout", "5")
    assert ran.exit_code == (6 if network == "net_b" else 2)
    assert ("127.0.0.1:2" in ran.stderr) is (network == "net_b")
