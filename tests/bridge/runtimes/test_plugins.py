"""Kinds of runtimes that packages bring: found, checked, run; and what becomes of one that does not keep its word.

Each test makes a package of its own, as an installer would have left it. The one in docs/runtimes.md is run as it is
printed there.
"""

import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import pytest

from bridge.config import AttachmentConfig, load_bridge_config
from bridge.runtimes.plugins import GROUP
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.config.problems import ConfigError
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch

PAGE = Path(__file__).parents[3] / "docs" / "runtimes.md"
ROOM = Conversation("net", TargetKind.ROOM, "general")
TURN = Turn(ROOM, "hello")

Install = Callable[[str, str], str]

_numbers = count(1)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with this source, which brings the kind by the name `open_it`; returns the module's name."""
    modules: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(kind: str, source: str) -> str:
        module = f"moltnet_test_plugin_{next(_numbers)}"
        information = tmp_path / "site" / f"{module}-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[{GROUP}]\n{kind} = {module}:open_it\n")
        (tmp_path / "site" / f"{module}.py").write_text(dedent(source))
        modules.append(module)
        return module

    yield install
    for module in modules:
        sys.modules.pop(module, None)


async def turn(config: AttachmentConfig) -> str | None:
    async with open_runtime(config) as runtime:
        return await runtime.run_turn(TURN)


def plugin(directory: Path, kind: str = "echo", **options: Any) -> AttachmentConfig:
    return attachment_config(directory, kind, options=options)


def load(directory: Path, **runtime: Any) -> AttachmentConfig:
    """A bridge file with this runtime, loaded."""
    file = {
        "version": "moltnet.bridge.v1",
        "agent": {"id": "agent-1"},
        "moltnet": {"base_url": "http://127.0.0.1:1", "network_id": "net"},
        "runtime": runtime,
    }
    (directory / "bridge.json").write_bytes(orjson.dumps(file))
    return load_bridge_config(directory / "bridge.json", directory)


def problems(directory: Path, **runtime: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as error:
        load(directory, **runtime)
    return [(problem.path, problem.message) for problem in error.value.problems]


ECHO = """
    from bridge.runtimes.plugins import WrongOptions
    from bridge.runtimes.runtime import TurnFailed

    class Echo:
        def __init__(self, options, context):
            self.options, self.context = options, context

        async def run_turn(self, turn):
            return f"{self.context.agent_id} {self.options['greeting']} {turn.prompt}"

    def open_it(options, context):
        if not isinstance(options.get("greeting"), str):
            raise WrongOptions({"greeting": "must be a string"})
        return Echo(options, context)
"""


async def test_a_kind_of_a_package_is_loaded_from_a_file_and_run(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO)
    config = load(tmp_path, kind="echo", options={"greeting": "says"}, turn_seconds=5)
    assert config.runtime.kind == "echo"
    assert await turn(config) == "agent-1 says hello"


def test_what_a_package_finds_wrong_is_told_like_our_own_findings(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO)
    assert problems(tmp_path, kind="echo", turn_seconds=-1) == [
        ("$.runtime.turn_seconds", "must be more than 0 and at most 86400"),
        ("$.runtime.options.greeting", "must be a string"),
    ]


async def test_wrong_options_that_no_check_has_seen_park_the_attachment(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO)
    with pytest.raises(RuntimeMisconfigured, match=r"^runtime\.options: greeting must be a string$"):
        await turn(plugin(tmp_path))


def test_a_kind_that_nobody_brings_is_wrong(tmp_path: Path) -> None:
    [(path, message)] = problems(tmp_path, kind="echo")
    assert path == "$.runtime.kind"
    assert message.startswith("must be one of ")


def test_options_belong_to_kinds_of_packages(tmp_path: Path) -> None:
    assert problems(tmp_path, kind="command", command="true", options={"greeting": "says"}) == [
        ("$.runtime.options", "belong to kinds that an installed package brings, not to command")
    ]


def test_keys_of_one_kind_of_ours_do_not_belong_to_a_package(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO)
    assert problems(tmp_path, kind="echo", options={"greeting": "x"}, gateway_url="ws://g") == [
        ("$.runtime.gateway_url", "belongs to openclaw, not to echo")
    ]


def test_options_that_are_no_mapping_are_wrong(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO)
    paths = [path for path, _ in problems(tmp_path, kind="echo", options=["greeting"])]
    assert paths[0] == "$.runtime.options"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import moltnet_test_no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("raise SystemError('no')", "cannot be loaded: SystemError: no"),
        ("open_it = 5", "cannot be called"),
        ("def open_it(options, context): return 5", "factory gives a int instead of a runtime"),
        ("def open_it(options, context): raise KeyError('secret')", "could not be made: KeyError"),
        ("def open_it(): pass", "could not be made: TypeError"),
    ],
)
async def test_a_package_that_does_not_keep_to_the_protocol_is_told_apart(
    tmp_path: Path, install: Install, source: str, problem: str
) -> None:
    install("echo", source)
    [(path, message)] = problems(tmp_path, kind="echo")
    assert path == "$.runtime.kind"
    assert problem in message
    assert "secret" not in message
    with pytest.raises(RuntimeMisconfigured, match=r"^runtime kind echo "):
        await turn(plugin(tmp_path))


def test_one_kind_of_two_packages_is_nobodys(tmp_path: Path, install: Install) -> None:
    modules = [install("echo", ECHO), install("echo", ECHO)]
    names = ", ".join(sorted(modules))
    assert problems(tmp_path, kind="echo") == [("$.runtime.kind", f"is brought by several packages: {names}")]


async def test_a_package_does_not_replace_a_kind_of_ours(tmp_path: Path, install: Install, watch: ProcessWatch) -> None:
    install("command", "raise SystemError('loaded')")
    assert load(tmp_path, kind="command", command="true").runtime.kind == "command"
    await turn(attachment_config(tmp_path, "command", command=("true",)))


async def test_what_a_package_raises_fails_the_turn_and_not_the_attachment(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO.replace("return f", "raise ValueError('a bug') #"))
    with pytest.raises(TurnFailed, match=r"^echo: ValueError: a bug$") as failure:
        await turn(plugin(tmp_path, greeting="x"))
    assert failure.value.retryable


async def test_a_failure_that_a_package_names_stays_what_it_is(tmp_path: Path, install: Install) -> None:
    install("echo", ECHO.replace("return f", "raise TurnFailed('no luck', retryable=False) #"))
    with pytest.raises(TurnFailed, match=r"^no luck$") as failure:
        await turn(plugin(tmp_path, greeting="x"))
    assert not failure.value.retryable


async def test_a_package_has_no_more_time_than_the_turn(tmp_path: Path, install: Install) -> None:
    install("echo", "import trio\n" + dedent(ECHO).replace("return f", "await trio.sleep_forever() #"))
    config = attachment_config(tmp_path, "echo", options={"greeting": "x"}, turn_seconds=0.01)
    with pytest.raises(TurnFailed, match=r"^stopped after 0\.01 s$"):
        await turn(config)


async def test_a_context_manager_is_open_as_long_as_the_attachment(tmp_path: Path, install: Install) -> None:
    install(
        "echo",
        """
        from contextlib import asynccontextmanager

        class Counter:
            turns = 0

            async def run_turn(self, turn):
                self.turns += 1

        @asynccontextmanager
        async def open_it(options, context):
            counter = Counter()
            yield counter
            (context.workspace_path / "closed").write_text(str(counter.turns))
        """,
    )
    config = plugin(tmp_path)
    async with open_runtime(config) as runtime:
        assert await runtime.run_turn(TURN) is None
        assert await runtime.run_turn(TURN) is None
        assert not (tmp_path / "workspace" / "closed").exists()
    assert (tmp_path / "workspace" / "closed").read_text() == "2"


def example(language: str) -> str:
    """The code of this language in the page's section about packages."""
    section = PAGE.read_text().partition("\n## A kind of your own\n")[2].partition("\n## ")[0]
    match = re.search(rf"```{language}[^\n]*\n(.*?)```", section, re.DOTALL)
    assert match is not None
    return match[1]


async def test_the_example_of_the_docs_runs_a_program_in_the_workspace(
    tmp_path: Path, install: Install, watch: ProcessWatch
) -> None:
    entry = re.search(r'^(\S+) = "moltnet_shell:(\S+)"$', example("toml"), re.MULTILINE)
    assert entry is not None
    install(entry[1], f"{example('python')}\nopen_it = {entry[2]}\n")
    config = attachment_config(tmp_path, entry[1], options={"script": "cat; echo to $MOLTNET_TARGET; pwd"})
    assert await turn(config) == f"helloto room:general\n{tmp_path}/workspace"
    with pytest.raises(TurnFailed, match=r"^exit code 3$"):
        await turn(attachment_config(tmp_path, entry[1], options={"script": "exit 3"}))
    assert ("$.runtime.options.script", "is required") in problems(tmp_path, kind=entry[1])
    assert ("$.runtime.options.skript", "is not a known field") in problems(
        tmp_path, kind=entry[1], options={"skript": "", "script": "true"}
    )
