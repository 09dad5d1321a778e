"""`moltnet connect`: what is written, claimed and kept, in new workspaces and in old ones."""

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.http_server import Reply, answer, open_scripted_server, silence
from tests.fakes.ports import free_port

NETWORK = answer(200, {"id": "net_a"})
REGISTRATION = {
    "network_id": "net_a",
    "agent_id": "alpha",
    "actor_uid": "actor_1",
    "actor_uri": "molt://net_a/agents/alpha",
    "created_at": "2025-01-02T03:04:05Z",
    "updated_at": "2025-01-02T03:04:05Z",
    "display_name": "Alpha",
}
CLAIMED = answer(201, {**REGISTRATION, "agent_token": "magt_v1_minted"})
REFRESHED = answer(200, REGISTRATION)


def connect(url: str, *options: str) -> tuple[str, ...]:
    return ("connect", "--base-url", url, "--network-id", "net_a", "--member-id", "alpha", *options)


async def test_a_new_workspace_gets_a_private_configuration(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK) as server:
        ran = await run(
            *connect(server.url + "/", "--agent-name", "Alpha", "--rooms", "general, lab", "--rooms", "lab")
        )
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "wrote Moltnet client config .moltnet/config.json\n", "")
    assert workspace.read() == {
        "version": "moltnet.client.v1",
        "agent": {"name": "Alpha"},
        "attachments": [
            {
                "network_id": "net_a",
                "member_id": "alpha",
                "base_url": server.url,
                "agent_name": "Alpha",
                "auth": {"mode": "none"},
                "rooms": [{"id": "general", "wake": "never"}, {"id": "lab", "wake": "never"}],
            }
        ],
    }
    assert stat.S_IMODE(workspace.config.stat().st_mode) == 0o600


async def test_a_token_is_presented_and_its_source_written(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHA_TOKEN", "from-the-environment")
    async with open_scripted_server(NETWORK) as server:
        ran = await run(*connect(server.url, "--token-env", "ALPHA_TOKEN"))
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert workspace.attachment()["auth"] == {"mode": "bearer", "token_env": "ALPHA_TOKEN"}
    assert server.requests[0].headers["authorization"] == "Bearer from-the-environment"


@pytest.mark.parametrize(
    ("options", "stdin", "warned"),
    [(("--token", "-"), b"secret-value\n", False), (("--token", "secret-value"), b"", True)],
)
async def test_a_token_may_be_given_and_is_never_shown(
    run: Run, workspace: Workspace, options: tuple[str, ...], stdin: bytes, warned: bool
) -> None:
    async with open_scripted_server(NETWORK) as server:
        ran = await run(*connect(server.url, *options), stdin=stdin)
    assert ran.exit_code == 0
    assert workspace.attachment()["auth"] == {"mode": "bearer", "token": "secret-value"}
    assert ("shell's history" in ran.stderr) is warned
    assert "secret-value" not in ran.stdout + ran.stderr


async def test_a_given_token_goes_into_the_named_file(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK) as server:
        ran = await run(*connect(server.url, "--token", "-", "--token-path", "alpha.token"), stdin=b"secret-value")
    assert ran.exit_code == 0
    assert (workspace.path / "alpha.token").read_text() == "secret-value\n"
    assert workspace.attachment()["auth"] == {"mode": "bearer", "token_path": "../alpha.token"}


@pytest.mark.parametrize("options", [("--registration", "open"), ("--auth-mode", "open")])
async def test_an_open_network_gives_a_token_that_is_kept_inline(
    run: Run, workspace: Workspace, options: tuple[str, ...]
) -> None:
    async with open_scripted_server(NETWORK, CLAIMED) as server:
        ran = await run(*connect(server.url, "--agent-name", "Alpha", *options))
    assert ran.exit_code == 0
    assert "magt_v1" not in ran.stdout + ran.stderr
    assert workspace.attachment()["auth"] == {"mode": "open", "registration": "open", "token": "magt_v1_minted"}
    assert server.requests[1].json() == {"requested_agent_id": "alpha", "name": "Alpha"}
    assert "authorization" not in server.requests[1].headers
    identity = workspace.path / ".moltnet" / "identity.json"
    assert orjson.loads(identity.read_bytes()) == {
        "version": "moltnet.identity.v1",
        "network_id": "net_a",
        "agent_id": "alpha",
        "actor_uid": "actor_1",
        "actor_uri": "molt://net_a/agents/alpha",
        "display_name": "Alpha",
    }


async def test_a_minted_token_goes_into_the_token_file_and_the_second_run_presents_it(
    run: Run, workspace: Workspace
) -> None:
    async with open_scripted_server(NETWORK, CLAIMED, NETWORK, REFRESHED) as server:
        options = connect(server.url, "--registration", "open", "--token-path", ".moltnet/alpha.token")
        for _ in range(2):
            ran = await run(*options)
            assert ran.exit_code == 0, ran.stderr
    assert workspace.attachment()["auth"] == {
        "mode": "bearer",
        "registration": "open",
        "token_path": "alpha.token",
    }
    assert (workspace.path / ".moltnet" / "alpha.token").read_text() == "magt_v1_minted\n"
    assert server.requests[3].headers["authorization"] == "Bearer magt_v1_minted"


async def test_a_token_minted_against_all_rules_is_kept_too(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHA_TOKEN", "from-the-environment")
    async with open_scripted_server(NETWORK, CLAIMED) as server:
        ran = await run(*connect(server.url, "--registration", "open", "--token-env", "ALPHA_TOKEN"))
    assert ran.exit_code == 0
    assert workspace.attachment()["auth"]["token"] == "magt_v1_minted"


async def test_open_registration_of_an_existing_attachment_is_not_ignored(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, NETWORK, CLAIMED) as server:
        await run(*connect(server.url))
        ran = await run(*connect(server.url, "--registration", "open"))
    assert ran.exit_code == 0
    assert workspace.attachment()["auth"]["token"] == "magt_v1_minted"


async def test_running_it_again_takes_nothing_away(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, NETWORK) as server:
        before = attachment(
            server.url,
            runtime="codex",
            auth={"mode": "bearer", "token": "token-of-alpha-0123456789"},
            rooms=[
                {"id": "general", "read": "mentions", "reply": "manual", "visibility": "public"},
                {"id": "lab", "wake": "all"},
            ],
            dms={"enabled": True, "wake": "all"},
        )
        other = attachment("http://127.0.0.1:1", network_id="net_b", auth={"mode": "open", "token_path": "tok"})
        workspace.write(other, before)
        ran = await run(*connect(server.url))
        assert ran.exit_code == 0, ran.stderr
        assert workspace.read()["attachments"] == [other, before]
        ran = await run(*connect(server.url, "--rooms", "new,lab"))
    assert ran.exit_code == 0
    assert workspace.read()["attachments"] == [
        other,
        {**before, "rooms": [*before["rooms"], {"id": "new", "wake": "never"}]},
    ]


async def test_a_relative_token_file_stays_where_it_is_however_often_it_is_saved(
    run: Run, workspace: Workspace
) -> None:
    (workspace.path / ".moltnet").mkdir(mode=0o700)
    token = workspace.path / ".moltnet" / "tok"
    token.write_text("token-of-alpha-0123456789")
    token.chmod(0o600)
    async with open_scripted_server(NETWORK, NETWORK, NETWORK) as server:
        workspace.write(attachment(server.url, auth={"mode": "bearer", "token_path": "tok"}))
        for registration in ("token", "disabled", "token"):
            ran = await run(*connect(server.url, "--registration", registration))
            assert ran.exit_code == 0, ran.stderr
            assert workspace.attachment()["auth"]["token_path"] == "tok"


@pytest.mark.parametrize(
    ("option", "enabled"), [("--enable-dms", True), ("--enable-dms=true", True), ("--enable-dms=false", False)]
)
async def test_dms_are_switched_without_losing_their_policy(
    run: Run, workspace: Workspace, option: str, enabled: bool
) -> None:
    async with open_scripted_server(NETWORK) as server:
        workspace.write(attachment(server.url, dms={"enabled": not enabled, "wake": "never"}))
        ran = await run(*connect(server.url, option, "--rooms", "general"))
    assert ran.exit_code == 0
    assert workspace.attachment()["dms"] == {"enabled": enabled, "wake": "never"}


async def test_another_network_at_that_address_is_refused_before_anything_is_claimed(
    run: Run, workspace: Workspace
) -> None:
    async with open_scripted_server(answer(200, {"id": "net_b"})) as server:
        ran = await run(*connect(server.url, "--registration", "open"))
    assert ran.exit_code == 5
    assert "is the network 'net_b', not 'net_a'" in ran.stderr
    assert not workspace.config.exists()


@pytest.mark.parametrize("reply", [answer(401), answer(403), answer(404)])
async def test_a_server_that_does_not_tell_who_it_is_is_taken_at_its_word(run: Run, reply: Reply) -> None:
    async with open_scripted_server(reply, CLAIMED) as server:
        assert (await run(*connect(server.url, "--registration", "open"))).exit_code == 0


async def test_without_a_claim_an_absent_server_is_only_a_note(run: Run, workspace: Workspace) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ran = await run(*connect(url))
    assert ran.exit_code == 0
    assert "the server was not checked" in ran.stderr
    assert "connection refused" in ran.stderr
    assert workspace.attachment()["base_url"] == url


@pytest.mark.parametrize("status", [401, 403])
async def test_a_network_that_asks_for_a_token_is_noted_where_none_is_given(
    run: Run, workspace: Workspace, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHA_TOKEN", "from-the-environment")
    async with open_scripted_server(answer(status), answer(status)) as server:
        bare = await run(*connect(server.url))
        given = await run(*connect(server.url, "--token-env", "ALPHA_TOKEN"))
    assert (bare.exit_code, given.exit_code) == (0, 0)
    assert "the network asks for a token; add --token-env NAME or --token-path FILE" in bare.stderr
    assert given.stderr == ""


async def test_a_runtime_is_written_only_if_it_is_chosen(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK, NETWORK) as server:
        await run(*connect(server.url))
        assert "runtime" not in workspace.attachment()
        await run(*connect(server.url, "--runtime", "codex", "--install-skill=false"))
    assert workspace.attachment()["runtime"] == "codex"


async def test_without_a_claim_a_silent_server_is_only_a_note(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(silence()) as server:
        ran = await run(*connect(server.url, "--timeout", "0.2"))
    assert ran.exit_code == 0
    assert "the server was not checked" in ran.stderr
    assert workspace.attachment()["base_url"] == server.url


@pytest.mark.parametrize(
    ("replies", "exit_code"),
    [
        ((NETWORK, answer(409, {"code": "agent_owned_by_other", "error": "taken"})), 5),
        ((answer(500),), 7),
        ((NETWORK, answer(403, {"error": "closed"})), 3),
    ],
)
async def test_a_claim_that_fails_changes_no_file(
    run: Run, workspace: Workspace, replies: tuple[Reply, ...], exit_code: int
) -> None:
    async with open_scripted_server(*replies) as server:
        ran = await run(*connect(server.url, "--registration", "open"))
        assert ran.exit_code == exit_code
        assert not workspace.config.exists()


async def test_a_claim_is_not_made_where_its_token_could_not_be_kept(run: Run, workspace: Workspace) -> None:
    (workspace.path / ".moltnet").write_text("a file where the directory must be")
    async with open_scripted_server() as server:
        ran = await run(*connect(server.url, "--registration", "open"))
    assert ran.exit_code != 0
    assert ran.stdout == ""


async def test_a_token_that_cannot_be_kept_after_all_is_printed_once(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moltnet.cli import connect as module
    from moltnet.config.problems import ROOT, ConfigError, Problem

    def full(path: Path, _change: object) -> None:
        raise ConfigError(path, Problem(ROOT, "cannot be written: no space left on device"))

    monkeypatch.setattr(module, "upsert_attachment", full)
    async with open_scripted_server(NETWORK, CLAIMED) as server:
        ran = await run(*connect(server.url, "--registration", "open"))
    assert ran.exit_code == 1
    assert ran.json()["agent_token"] == "magt_v1_minted"
    assert "no space left" in ran.stderr
    assert "save agent_token" in ran.stderr


async def test_a_kept_token_does_not_go_to_another_host(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://chat.example.org"))
    ran = await run(*connect("http://evil.invalid"))
    assert ran.exit_code == 5
    assert "belongs to http://chat.example.org" in ran.stderr
    assert workspace.attachment()["base_url"] == "http://chat.example.org"


async def test_a_file_that_cannot_be_read_is_not_replaced(run: Run, workspace: Workspace) -> None:
    workspace.config.parent.mkdir()
    workspace.config.write_text("{ not json")
    ran = await run(*connect("http://127.0.0.1:1"))
    assert ran.exit_code == 2
    assert workspace.config.read_text() == "{ not json"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--base-url", "chat.example.org"), "must start with http://"),
        (("--base-url", "http://me:hunter2@chat.example.org"), "must not hold a user or password"),
        (("--network-id", "a b"), "--network-id must"),
        (("--member-id", "-"), "--member-id must"),
        (("--rooms", "ok,not ok"), "--rooms must"),
        (("--runtime", "emacs"), "'emacs' is not one of"),
        (("--token-env", "A", "--token-path", "b"), "--token-env excludes"),
        (("--token", "-"), "the token is empty"),
    ],
)
async def test_wrong_options_are_named(run: Run, workspace: Workspace, options: tuple[str, ...], text: str) -> None:
    ran = await run(*connect("http://127.0.0.1:1"), *options)
    assert ran.exit_code == 2
    assert text in ran.stderr
    assert "hunter2" not in ran.stderr
    assert not workspace.config.exists()


async def test_the_workspace_may_be_elsewhere(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(NETWORK) as server:
        ran = await run(*connect(server.url, "--workspace", "agents/alpha", "--install-skill=false"))
    assert ran.exit_code == 0
    written: Any = orjson.loads((workspace.path / "agents/alpha/.moltnet/config.json").read_bytes())
    assert written["attachments"][0]["member_id"] == "alpha"
