"""`moltnet pairing queues` and `dead-letters`, against the real server."""

import pytest

from moltnet.cli import relaying
from tests.cli.conftest import Run, Workspace
from tests.fakes.network import TestServer, secret_of
from tests.http.test_relays import open_with_backlog


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", secret_of("ops"))


@pytest.fixture
def for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "is_for_people", lambda as_json: not as_json)


def at(server: TestServer) -> tuple[str, str]:
    return "--base-url", server.url


async def test_queues_are_shown(run: Run, workspace: Workspace, for_people: None) -> None:
    async with open_with_backlog() as server:
        ran = await run("pairing", "queues", *at(server))
        assert (ran.exit_code, ran.stderr) == (0, "")
        assert "to_net_b" in ran.stdout
        ran = await run("pairing", "queues", "--json", *at(server))
        assert [queue["waiting"] for queue in ran.json()["queues"]] == [2]


async def test_dead_letters_are_listed(run: Run, workspace: Workspace, for_people: None) -> None:
    async with open_with_backlog() as server:
        listing = ("pairing", "dead-letters", "list", "to_net_b", *at(server))
        ran = await run(*listing, "--json")
        assert [each["message_id"] for each in ran.json()["dead_letters"]] == ["m1", "m3"]
        ran = await run(*listing, "--limit", "1")
        assert "404 unknown_room" in ran.stdout
        assert "m3" not in ran.stdout
        assert "--after m1" in ran.stderr


@pytest.mark.parametrize("verb", ["retry", "drop"])
async def test_named_ones_or_all_of_them_are_settled(run: Run, workspace: Workspace, verb: str) -> None:
    async with open_with_backlog() as server:
        settle = ("pairing", "dead-letters", verb, "to_net_b", *at(server))
        ran = await run(*settle)
        assert ran.exit_code == 2
        assert "--all" in ran.stderr
        assert (await run(*settle, "m1", "--all")).exit_code == 2
        ran = await run(*settle, "m1")
        assert (ran.exit_code, ran.json()["message_id"]) == (0, "m1")
        ran = await run(*settle, "m1")
        assert ran.exit_code == 4
        ran = await run(*settle, "--all")
        assert (ran.exit_code, ran.json()["message_id"]) == (0, "m3")
        ran = await run("pairing", "queues", *at(server))
        (queue,) = ran.json()["queues"]
        assert (queue["waiting"], queue["dead_letters"]) == (4 if verb == "retry" else 2, 0)
