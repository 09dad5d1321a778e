"""What an operator does to the rooms of a running network: `admin room …` and `apply`, against the real server."""

from collections.abc import AsyncIterator

import orjson
import pytest

from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.server import ALPHA_TOKEN, OPERATOR_TOKEN, bearer_network, open_running_server

FILE = """\
version: moltnet.v1
network: {id: net_a, name: Net A}
auth:
  mode: bearer
  tokens:
    - {id: operator, value_env: OPERATOR, scopes: [observe, write, admin]}
    - {id: alpha, value_env: ALPHA, scopes: [attach, write], agents: [alpha, gamma]}
rooms:
  - {id: general, members: [alpha]}
  - {id: build, name: The build, members: [alpha, gamma], visibility: public, write_policy: registered_agents}
"""


@pytest.fixture
async def url(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> AsyncIterator[str]:
    monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", OPERATOR_TOKEN)
    monkeypatch.setenv("OPERATOR", OPERATOR_TOKEN)
    monkeypatch.setenv("ALPHA", ALPHA_TOKEN)
    async with open_running_server(bearer_network()) as url:
        yield url


class TestRooms:
    async def test_a_room_s_life(self, run: Run, url: str) -> None:
        where = ("--base-url", url)
        made = await run("admin", "room", "create", "build", "--name", "The build", "--member", "alpha,beta", *where)
        assert (made.exit_code, made.json()["members"]) == (0, ["alpha", "beta"])
        again = await run("admin", "room", "create", "build", *where)
        assert (again.exit_code, "build" in again.stderr) == (5, True)

        members = ("admin", "room", "members")
        added = await run(*members, "add", "--room", "build", "--member", "net_b:zeta", "--member", "gamma", *where)
        assert added.json()["members"] == ["alpha", "beta", "gamma", "net_b:zeta"]
        gone = await run(*members, "remove", "--room", "build", "--member", "alpha,beta", *where)
        assert gone.json()["members"] == ["gamma", "net_b:zeta"]

        listed = await run("admin", "room", "list", *where)
        assert [room["id"] for room in listed.json()["rooms"]] == ["build", "general"]
        table = (await run("admin", "room", "list", *where, terminal=True)).stdout.splitlines()
        assert table[0].split("  ")[0] == "ROOM"
        assert "gamma, net_b:zeta" in table[1]

        removed = await run("admin", "room", "remove", "build", *where)
        assert removed.json() == {"removed": True, "kind": "room", "id": "build", "mode": "soft"}
        assert (await run("admin", "room", "remove", "--room", "build", *where)).exit_code == 4
        back = await run("admin", "room", "restore", "build", "--member", "alpha", *where)
        assert back.json()["members"] == ["alpha"]

    @pytest.mark.parametrize("arguments", [(), ("build", "--room", "build"), ("--room", " ")])
    async def test_exactly_one_room_must_be_named(self, run: Run, url: str, arguments: tuple[str, ...]) -> None:
        ran = await run("admin", "room", "remove", *arguments, "--base-url", url)
        assert (ran.exit_code, "name one ROOM" in ran.stderr) == (2, True)

    async def test_members_must_be_named(self, run: Run, url: str) -> None:
        ran = await run("admin", "room", "members", "add", "--room", "general", "--member", " , ", "--base-url", url)
        assert (ran.exit_code, "names nobody" in ran.stderr) == (2, True)

    async def test_an_agent_s_token_administers_nothing(self, run: Run, url: str) -> None:
        ran = await run("admin", "room", "create", "x", "--base-url", url, "--token", "-", stdin=ALPHA_TOKEN.encode())
        assert (ran.exit_code, "scope" in ran.stderr) == (3, True)


class TestWhichToken:
    async def test_a_workspace_may_name_server_and_token(self, run: Run, workspace: Workspace, url: str) -> None:
        operator = {"mode": "bearer", "token": OPERATOR_TOKEN}
        workspace.write(
            attachment(url, auth=operator), attachment("http://127.0.0.1:9", network_id="net_b", auth=operator)
        )
        config = ("--config", ".moltnet/config.json")
        ran = await run("admin", "room", "list", *config, "--network", "net_a")
        assert ran.exit_code == 0, ran.stderr
        assert "several" in (await run("admin", "room", "list", *config)).stderr
        assert (await run("admin", "room", "list", *config, "--network", "net_a", "--auth-mode", "none")).exit_code == 3

    async def test_one_source_at_most(self, run: Run, url: str) -> None:
        given = ("--base-url", url, "--token", "-")
        for other in (("--token-env", "OPERATOR"), ("--token-path", "file")):
            ran = await run("admin", "room", "list", *given, *other, stdin=b"x\n")
            assert (ran.exit_code, "excludes" in ran.stderr) == (2, True)


class TestApply:
    async def test_the_network_becomes_what_the_file_says(self, run: Run, workspace: Workspace, url: str) -> None:
        (workspace.path / "Moltnet").write_text(FILE)
        dry = await run("apply", "--dry-run", "--base-url", url)
        assert dry.exit_code == 0, dry.stderr
        assert [agent["credential_key"] for agent in dry.json()["agents"]] == ["token:alpha", "token:alpha"]
        assert [room["id"] for room in (await run("admin", "room", "list", "--base-url", url)).json()["rooms"]] == [
            "general"
        ]
        ran = await run("apply", "Moltnet", "--base-url", url)
        assert ran.exit_code == 0, ran.stderr
        assert [(room["id"], room["members"]) for room in ran.json()["rooms"]] == [
            ("general", ["alpha"]),
            ("build", ["alpha", "gamma"]),
        ]
        assert [agent["agent_id"] for agent in ran.json()["agents"]] == ["alpha", "gamma"]
        # Undeclared rooms stay.
        await run("admin", "room", "create", "other", "--base-url", url)
        await run("apply", "--base-url", url)
        rooms = (await run("admin", "room", "list", "--base-url", url)).json()["rooms"]
        assert [room["id"] for room in rooms] == ["build", "general", "other"]

    async def test_without_a_file_there_is_nothing_to_apply(self, run: Run, url: str) -> None:
        ran = await run("apply", "--base-url", url)
        assert (ran.exit_code, "moltnet init" in ran.stderr) == (2, True)

    async def test_a_file_of_another_network_is_refused(self, run: Run, workspace: Workspace, url: str) -> None:
        (workspace.path / "Moltnet").write_text(FILE.replace("id: net_a", "id: net_b"))
        ran = await run("apply", "--base-url", url)
        assert (ran.exit_code, "net_a" in ran.stderr) == (2, True)

    async def test_secrets_stay_here(self, run: Run, workspace: Workspace, url: str) -> None:
        (workspace.path / "Moltnet").write_text(FILE)
        shown = (await run("apply", "--dry-run", "--base-url", url)).stdout
        assert OPERATOR_TOKEN not in shown
        assert ALPHA_TOKEN not in shown
        assert set(orjson.loads(shown)) == {"network_id", "rooms", "agents"}
