"""What every command prints, for people and for programs, and how it ends: compared with the files in `golden/`.

One story is played against a real server, command after command; what differs from run to run is written as `<id>`,
`<time>` and so on. After a wanted change write the files anew, and read the difference before it is committed:

    MOLTNET_TEST_GOLDEN=write pytest tests/cli/test_golden.py
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import click
import pytest

from moltnet import __version__
from moltnet.cli.main import COMMANDS, cli
from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.server import ALPHA_TOKEN, OPERATOR_TOKEN, bearer_network, open_running_server

GOLDEN: Final = Path(__file__).parent / "golden"
WRITES: Final = os.environ.get("MOLTNET_TEST_GOLDEN") == "write"


@attrs.frozen
class Step:
    """A command line; `{url}` stands for the server. `terminal`: as a person sees it."""

    line: str
    terminal: bool = False
    stdin: bytes = b""


def both(line: str) -> tuple[Step, Step]:
    """The same for a program, and for a person."""
    return Step(line), Step(line, terminal=True)


# In the order of the story. The commands that stay in the foreground show here only how they refuse to begin.
STORY: Final[Sequence[tuple[str, Sequence[Step]]]] = (
    ("version", (Step("version"), Step("--version"))),
    ("help", (Step("help nothing"),)),
    ("init", (Step("init lab"), Step("init lab"))),
    ("validate", (Step("validate lab"), Step("validate missing"), Step("validate lab/MoltnetNode"))),
    ("setup", (Step("setup net --yes --no-start"), Step("setup net --yes --no-start"))),
    ("start", (Step("start surplus"),)),
    (
        "connect",
        (
            Step("connect --base-url {url} --network-id net_a"),
            Step("connect --base-url x --network-id a --member-id b"),
        ),
    ),
    (
        "whoami",
        (*both("whoami"), Step("whoami --network net_b")),
    ),
    ("status", both("status")),
    ("doctor", both("doctor")),
    ("rooms", both("rooms")),
    ("agents", both("agents")),
    (
        "send",
        (
            Step("send --target room:general --text 'hello @beta' --message-id m1"),
            Step("send --target room:general --text - --message-id m2", stdin=b"two\nlines\n"),
            Step("send --target room:general --text other --message-id m1"),
            Step("send --target room:nowhere --text hello"),
            Step("send --target general --text hello"),
            Step("send --target room:general"),
            Step("send --target thread:general/t1 --reply-to m1 --text 'a thread' --message-id m3"),
        ),
    ),
    (
        "read",
        (
            *both("read --target room:general"),
            Step("read --target room:general --limit 1", terminal=True),
            Step("read --target dm:none"),
        ),
    ),
    ("dm", (Step("dm beta --text 'only us' --message-id m4"), *both("dm beta"), Step("dm alpha --text x"))),
    ("thread", both("thread general")),
    ("search", (*both("search hello"), Step("search nowhere", terminal=True))),
    ("watch", (Step("watch --target room:nowhere"), Step("watch --target nothing"))),
    ("conversations", both("conversations")),
    ("participants", (*both("participants --target room:general"), Step("participants --target dm:none"))),
    ("register-agent", (Step("register-agent"), Step("register-agent --base-url {url} --agent 'no id'"))),
    ("skill", (Step("skill install --runtime codex"), Step("skill install --runtime nothing"))),
    (
        "admin",
        (
            Step("admin agent list --base-url {url}"),
            Step("admin agent list --base-url {url}", terminal=True),
            Step("admin agent remove nobody --base-url {url}"),
            Step("admin agent mute nobody --base-url {url}"),
            Step("admin agent unmute nobody --base-url {url}"),
            Step("admin room list --base-url {url}", terminal=True),
            Step("admin room create build --member alpha --base-url {url}"),
            Step("admin room create build --base-url {url}"),
            Step("admin room members add --room build --member beta --base-url {url}"),
            Step("admin room remove build --base-url {url}"),
        ),
    ),
    (
        "apply",
        (
            Step("apply --base-url {url}"),
            Step("apply net/Moltnet --dry-run"),
            Step("apply net/Moltnet --preview --base-url {url}"),
        ),
    ),
    ("tokens", (Step("tokens list --base-url {url}", terminal=True), Step("tokens new --to new.token"))),
    ("approvals", (*both("approvals list --base-url {url}"), Step("approvals approve apr_none --base-url {url}"))),
    ("pairing", (*both("pairing list --base-url {url}"), Step("pairing test nothing --base-url {url}"))),
    ("pair", (Step("pair accept --from missing"),)),
    ("reload", (Step("reload --base-url {url}"), Step("reload --base-url http://127.0.0.1:9"))),
    ("backup", (Step("backup"),)),
    ("restore", (Step("restore missing.backup"),)),
    ("export", (Step("export"),)),
    ("import", (Step("import missing.jsonl"),)),
    ("service", (Step("service status both"), Step("service install server --name '?'"))),
    ("demo", (Step("demo --rounds none"),)),
    ("node", (Step("node start missing"), Step("node status missing"))),
    ("bridge", (Step("bridge run missing.json"),)),
    ("leave", (Step("leave --rooms ops"), Step("leave"), Step("whoami"))),
    ("update", (Step("update --version nothing"),)),
    ("completion", (Step("completion tcsh"),)),
)

_VOLATILE: Final[Sequence[tuple[str, str]]] = (
    (r"http://127\.0\.0\.1:(?!9\b|8787)\d+", "<url>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>"),
    (r"(just now|\d+ minutes? ago) *", "<ago> "),
    (r"\b(evt|msg|actor|req)_[0-9a-f][0-9a-f-]{10,}", r"<\1>"),
    (re.escape(__version__), "<version>"),
)


def without_noise(text: str, workspace: Path) -> str:
    for pattern, replacement in ((re.escape(str(workspace)), "<here>"), *_VOLATILE):
        text = re.sub(pattern, replacement, text)
    return text


async def played(run: Run, workspace: Workspace, url: str, steps: Sequence[Step]) -> str:
    shown = []
    for step in steps:
        words = shlex.split(step.line.replace("{url}", url))
        ran = await run(*words, stdin=step.stdin, terminal=step.terminal)
        assert ALPHA_TOKEN not in ran.stdout + ran.stderr
        assert OPERATOR_TOKEN not in ran.stdout + ran.stderr
        where = " on a terminal" if step.terminal else ""
        shown.append(f"$ moltnet {step.line}\n[exit {int(ran.exit_code)}{where}]\n{ran.stdout}{ran.stderr}")
    return without_noise("\n".join(shown), workspace.path)


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", OPERATOR_TOKEN)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("MOLTNET_CONFIG", raising=False)


@pytest.mark.usefixtures("operator")
async def test_every_command_prints_what_it_did_before(run: Run, workspace: Workspace) -> None:
    found: dict[str, str] = {}
    async with open_running_server(bearer_network()) as url:
        workspace.write(attachment(url, auth={"mode": "bearer", "token": ALPHA_TOKEN}))
        for name, steps in STORY:
            found[name] = await played(run, workspace, url, steps)
    compare(found, ".txt")


@pytest.mark.usefixtures("operator")
async def test_every_help_text_is_what_it_was(run: Run) -> None:
    found: dict[str, str] = {"moltnet": (await run("--help")).stdout}
    for path in sorted(command_paths()):
        ran = await run(*path, "--help")
        assert (ran.exit_code, ran.stderr) == (0, ""), path
        found[path[0]] = found.get(path[0], "") + ran.stdout + "\n"
    compare(found, ".help.txt")


def test_every_command_takes_part_in_the_story() -> None:
    visible = {name for name, entry in COMMANDS.items() if not entry.hidden}
    assert visible == {name for name, _ in STORY}


def test_no_golden_file_is_left_over() -> None:
    names = {name for name, _ in STORY}
    expected = {f"{name}{kind}" for name in names for kind in (".txt", ".help.txt")} | {"moltnet.help.txt"}
    assert {path.name for path in GOLDEN.iterdir()} == expected


def command_paths() -> Iterator[tuple[str, ...]]:
    context = click.Context(cli)
    for name, entry in COMMANDS.items():
        if not entry.hidden:
            command = cli.get_command(context, name)
            assert command is not None
            yield from _paths((name,), command)


def _paths(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from _paths((*path, name), inner)


def compare(found: Mapping[str, str], kind: str) -> None:
    if WRITES:
        for name, text in found.items():
            (GOLDEN / f"{name}{kind}").write_text(text, encoding="utf-8")
    for name, text in found.items():
        assert text == (GOLDEN / f"{name}{kind}").read_text(encoding="utf-8"), f"golden/{name}{kind}"
