"""`moltnet skill`, and the skill that `connect` installs: which text, where, and never without showing what changes."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moltnet.config.settings import AuthMode
from moltnet.config.skill_files import SKILL_PATHS
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.skill.bundled import bundled_skill
from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.http_client import http_client
from tests.fakes.http_server import answer, open_scripted_server
from tests.fakes.network import TestServer, network_config, open_test_server, room, token
from tests.skill.documents import front_matter

CODEX = SKILL_PATHS["codex"]
OPEN = network_config(
    mode=AuthMode.OPEN,
    rooms=[
        room("agora", visibility=Visibility.PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS),
        room("cellar", "beta"),
    ],
    tokens=[token("admin", "admin write")],
)
NETWORK = answer(200, {"id": "net_a"})
OTHER_SKILL = '---\nname: moltnet\ndescription: "x"\n---\nRead first.\n'


def connect(url: str, *options: str, network: str = "lab", agent: str = "luna") -> tuple[str, ...]:
    return ("connect", "--base-url", url, "--network-id", network, "--member-id", agent, *options)


def installed(workspace: Workspace, names: Sequence[str] = CODEX) -> list[str | None]:
    paths = [workspace.path / name for name in names]
    return [path.read_text() if path.exists() else None for path in paths]


def place(workspace: Workspace, text: str, names: Sequence[str] = CODEX) -> None:
    for name in names:
        path = workspace.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def joined(run: Run, server: TestServer) -> None:
    ran = await run(*connect(server.url, "--registration", "open", "--runtime", "codex", "--rooms", "agora"))
    assert ran.exit_code == 0, ran.stderr


class TestInstall:
    @pytest.mark.parametrize("runtime", SKILL_PATHS)
    async def test_the_bundled_skill_goes_where_the_runtime_looks(
        self, run: Run, workspace: Workspace, runtime: str
    ) -> None:
        ran = await run("skill", "install", "--runtime", runtime)
        names = SKILL_PATHS[runtime]
        assert (ran.exit_code, ran.stdout) == (0, f"installed {', '.join(names)}\n")
        assert installed(workspace, names) == [bundled_skill()] * len(names)
        assert {stat.S_IMODE((workspace.path / name).stat().st_mode) for name in names} == {0o600}

    async def test_the_workspace_may_be_elsewhere_and_says_its_runtime(self, run: Run, workspace: Workspace) -> None:
        workspace.write(attachment("http://127.0.0.1:1", runtime="claude-code"))
        ran = await run("skill", "install", "--workspace", str(workspace.path))
        assert ran.stdout == f"installed {workspace.path}/.claude/skills/moltnet/SKILL.md\n"

    async def test_without_anything_it_is_for_openclaw(self, run: Run, workspace: Workspace) -> None:
        assert (await run("skill", "install")).stdout == "installed skills/moltnet/SKILL.md\n"

    async def test_a_runtime_that_nobody_knows_is_refused(self, run: Run, workspace: Workspace) -> None:
        ran = await run("skill", "install", "--runtime", "hal")
        assert ran.exit_code == 2
        assert "moltnet skill install does not support runtime 'hal'" in ran.stderr

    async def test_a_networks_skill_stays_unless_it_is_said_otherwise(self, run: Run, workspace: Workspace) -> None:
        place(workspace, OTHER_SKILL)
        ran = await run("skill", "install", "--runtime", "codex")
        assert (ran.exit_code, ran.stdout) == (0, "")
        assert "kept" in ran.stderr
        assert installed(workspace) == [OTHER_SKILL] * 2
        assert (await run("skill", "install", "--runtime", "codex", "--bundled")).exit_code == 0
        assert installed(workspace) == [bundled_skill()] * 2

    async def test_a_file_that_is_no_skill_of_ours_is_kept(self, run: Run, workspace: Workspace) -> None:
        place(workspace, "my own notes")
        ran = await run("skill", "install", "--runtime", "codex")
        assert ran.exit_code == 5
        assert "is no Moltnet skill and is kept" in ran.stderr
        assert installed(workspace) == ["my own notes"] * 2


class TestConnect:
    async def test_the_skill_is_for_the_agent_that_was_claimed(self, run: Run, workspace: Workspace) -> None:
        async with open_test_server(OPEN) as server:
            ran = await run(*connect(server.url, "--registration", "open", "--runtime", "codex"))
        assert ran.exit_code == 0
        assert ran.stdout.splitlines()[-1] == f"installed skill {', '.join(CODEX)} ({server.url}/skill.md)"
        first, second = installed(workspace)
        assert first == second
        assert first is not None
        assert "acts as: `luna`" in first
        assert front_matter(first)["metadata"]["source"] == f"{server.url}/skill.md"

    @pytest.mark.parametrize("options", [(), ("--runtime", "codex", "--install-skill=false")])
    async def test_none_without_a_runtime_or_if_it_is_not_wanted(
        self, run: Run, workspace: Workspace, options: tuple[str, ...]
    ) -> None:
        async with open_test_server(OPEN) as server:
            assert (await run(*connect(server.url, "--registration", "open", *options))).exit_code == 0
        assert installed(workspace) == [None, None]

    async def test_wanting_one_for_no_runtime_is_a_mistake(self, run: Run, workspace: Workspace) -> None:
        ran = await run(*connect("http://127.0.0.1:1", "--install-skill"))
        assert ran.exit_code == 2
        assert "--install-skill needs --runtime" in ran.stderr
        assert not workspace.config.exists()

    @pytest.mark.parametrize(
        "reply",
        [
            answer(404, {"code": "unknown_route", "error": "no"}),
            answer(200, b"<html>"),
            answer(200, b"---\nname: evil\n---\nname: moltnet\n"),
            answer(200, "---\nname: moltnet\n---\n\u202eevil\n".encode()),
            answer(200, b"---\nname: moltnet\n---\n" + b"x" * (256 * 1024)),
        ],
    )
    async def test_what_is_no_skill_is_not_installed(self, run: Run, workspace: Workspace, reply: Any) -> None:
        async with open_scripted_server(NETWORK, reply) as server:
            ran = await run(*connect(server.url, "--runtime", "codex", network="net_a"))
        assert ran.exit_code == 0
        assert "could not be fetched, so the one that comes with moltnet is used" in ran.stderr
        assert installed(workspace) == [bundled_skill()] * 2

    async def test_a_skill_that_differs_is_replaced_only_on_request_and_shown(
        self, run: Run, workspace: Workspace
    ) -> None:
        place(workspace, OTHER_SKILL)
        async with open_test_server(OPEN) as server:
            await joined(run, server)
            assert installed(workspace) == [OTHER_SKILL] * 2
            ran = await run(*connect(server.url, "--install-skill"))
        assert ran.exit_code == 0
        assert "-Read first." in ran.stderr
        assert installed(workspace)[0] != OTHER_SKILL

    async def test_a_skill_that_cannot_be_written_is_a_note_unless_it_was_asked_for(
        self, run: Run, workspace: Workspace
    ) -> None:
        (workspace.path / ".agents").write_text("not a directory")
        async with open_test_server(OPEN) as server:
            ran = await run(*connect(server.url, "--registration", "open", "--runtime", "codex"))
            assert ran.exit_code == 0
            assert "the skill was not installed" in ran.stderr
            asked = await run(*connect(server.url, "--runtime", "codex", "--install-skill"))
        assert asked.exit_code == 2
        assert workspace.attachment()["member_id"] == "luna"


class TestUpdate:
    async def test_nothing_changes_while_nothing_has_changed(self, run: Run, workspace: Workspace) -> None:
        async with open_test_server(OPEN) as server:
            await joined(run, server)
            ran = await run("skill", "update")
        assert (ran.exit_code, ran.stderr) == (0, "")
        assert ran.stdout == f"up to date: {', '.join(CODEX)} ({server.url}/skill.md)\n"

    async def test_the_difference_is_shown_and_written_with_consent(self, run: Run, workspace: Workspace) -> None:
        async with open_test_server(OPEN) as server:
            await joined(run, server)
            before = installed(workspace)
            await http_client(server, "admin").patch("/v1/rooms/cellar/members", {"add": ["luna"]})
            refused = await run("skill", "update")
            assert refused.exit_code == 2
            assert "--yes takes it over" in refused.stderr
            assert installed(workspace) == before
            accepted = await run("skill", "update", "--yes")
        shown = "+- Readable rooms: `agora`, `cellar`"
        assert shown in refused.stdout.splitlines()
        assert accepted.stdout == refused.stdout + f"installed {', '.join(str(workspace.path / n) for n in CODEX)}\n"
        after = installed(workspace)
        assert after[0] is not None
        assert "- Readable rooms: `agora`, `cellar`" in after[0]
        versions = [front_matter(str(text))["metadata"]["version"] for text in (before[0], after[0])]
        assert versions[0] != versions[1]

    async def test_a_person_is_asked(self, run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("moltnet.cli.skill.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
        async with open_test_server(OPEN) as server:
            await joined(run, server)
            place(workspace, OTHER_SKILL)
            refused = await run("skill", "update", stdin=b"n\n")
            assert (refused.exit_code, "nothing was written" in refused.stderr) == (5, True)
            assert installed(workspace) == [OTHER_SKILL] * 2
            accepted = await run("skill", "update", stdin=b"y\n")
        assert accepted.exit_code == 0
        assert f"install this from {server.url}/skill.md?" in accepted.stderr
        assert installed(workspace)[0] != OTHER_SKILL

    async def test_it_works_from_below_and_for_a_workspace_elsewhere(
        self, run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        below = workspace.path / "src" / "deep"
        below.mkdir(parents=True)
        elsewhere = workspace.path.parent / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        async with open_test_server(OPEN) as server:
            await joined(run, server)
            place(workspace, OTHER_SKILL)
            monkeypatch.chdir(below)
            assert (await run("skill", "update", "--yes")).exit_code == 0
            assert installed(workspace)[0] != OTHER_SKILL
            assert list(below.iterdir()) == []
            place(workspace, OTHER_SKILL)
            monkeypatch.chdir(elsewhere)
            assert (await run("skill", "update", "--yes", "--workspace", str(workspace.path))).exit_code == 0
            assert installed(workspace)[0] != OTHER_SKILL

    async def test_a_server_that_is_not_there_changes_nothing(self, run: Run, workspace: Workspace) -> None:
        workspace.write(attachment("http://127.0.0.1:1", runtime="codex"))
        place(workspace, OTHER_SKILL)
        assert (await run("skill", "update", "--yes")).exit_code == 6
        assert installed(workspace) == [OTHER_SKILL] * 2

    async def test_it_leads_nowhere_outside(self, run: Run, workspace: Workspace, tmp_path_factory: Any) -> None:
        outside: Path = tmp_path_factory.mktemp("outside")
        async with open_test_server(OPEN) as server:
            ran = await run(*connect(server.url, "--registration", "open", "--rooms", "agora"))
            assert ran.exit_code == 0
            (workspace.path / ".agents").symlink_to(outside)
            ran = await run("skill", "update", "--yes", "--runtime", "codex")
        assert ran.exit_code == 2
        assert "leads out of the workspace" in ran.stderr
        assert os.listdir(outside) == []

    async def test_control_characters_of_an_old_skill_do_not_reach_the_terminal(
        self, run: Run, workspace: Workspace
    ) -> None:
        async with open_test_server(OPEN) as server:
            await joined(run, server)
            place(workspace, OTHER_SKILL + "\x1b[2J\n")
            ran = await run("skill", "update", "--yes")
        assert "\x1b" not in ran.stdout
        assert "\\x1b[2J" in ran.stdout
