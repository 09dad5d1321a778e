"""Where a skill comes from, the network or this program, and putting it where the agent's runtime looks for it."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import click

from moltnet.cli.caller import call_within
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import harmless, print_note
from moltnet.client.api import open_client
from moltnet.client.errors import ClientError
from moltnet.config.skill_files import SKILL_PATHS, read_skill, write_skill
from moltnet.protocol.limits import MAX_SKILL_BYTES
from moltnet.skill.bundled import bundled_skill
from moltnet.skill.forms import NAME

_FENCE: Final = "---"
_NAME_LINE: Final = f"name: {NAME}"
_BUNDLED_LINE: Final = '  source: "bundled"'


@attrs.frozen
class Skill:
    """A text, and what it is called where the difference is shown."""

    text: str
    source: str

    def difference(self, workspace: Path, name: str) -> str:
        """What would change at ``name``, for a terminal; empty for nothing. Raises ``ConfigError``."""
        before = read_skill(workspace, name)
        old = "" if before is None else before
        lines = difflib.unified_diff(
            old.splitlines(), self.text.splitlines(), "/dev/null" if before is None else name, self.source, lineterm=""
        )
        return "\n".join(harmless(line) for line in lines) if old != self.text or before is None else ""


def bundled() -> Skill:
    return Skill(bundled_skill(), "the skill that comes with moltnet")


def fetch_skill(base_url: str, token: str | None, timeout_seconds: float) -> Skill:
    """The network's skill for this credential. Raises ``ClientError``, and ``CommandFailed`` for what is no skill."""

    async def fetch() -> str:
        async with open_client(base_url, token) as client:
            return await client.text("/skill.md", max_bytes=MAX_SKILL_BYTES)

    text = call_within(timeout_seconds, base_url, fetch)
    source = f"{base_url}/skill.md"
    if not is_skill(text):
        raise CommandFailed(ExitCode.SERVER, f"{source} is no skill: its front matter has no line {_NAME_LINE!r}")
    if any(not character.isprintable() and character not in "\n\t" for character in text):
        raise CommandFailed(ExitCode.SERVER, f"{source} has control characters or invisible ones, so it is not used")
    return Skill(text, source)


def is_skill(text: str) -> bool:
    """Whether a text says, where runtimes look for it, that it is the skill of a Moltnet."""
    return _NAME_LINE in _front_matter(text)


def is_bundled(text: str) -> bool:
    """Whether a skill came with some version of this program, and not from a network."""
    return _BUNDLED_LINE in _front_matter(text)


def _front_matter(text: str) -> list[str]:
    first, *rest = text.splitlines() or [""]
    return rest[: rest.index(_FENCE)] if first == _FENCE and _FENCE in rest else []


def paths_for(runtime: str) -> tuple[str, ...]:
    """Raises ``click.UsageError``."""
    if runtime not in SKILL_PATHS:
        raise click.UsageError(
            f"moltnet skill install does not support runtime {runtime!r}; supported: {', '.join(SKILL_PATHS)}"
        )
    return SKILL_PATHS[runtime]


def put(skill: Skill, workspace: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """Raises ``ConfigError``, and ``CommandFailed`` for a file of that name that is no skill of ours."""
    for name in names:
        before = read_skill(workspace, name)
        if before is not None and not is_skill(before):
            raise CommandFailed(
                ExitCode.CONFLICT, f"{workspace / name} is no Moltnet skill and is kept; move it away first"
            )
    return tuple(write_skill(workspace, name, skill.text) for name in names)


def install_with_connect(
    workspace: Path, runtime: str, base_url: str, token: str | None, *, replace: bool, timeout_seconds: float
) -> Iterator[str]:
    """Install the network's skill, or ours if the network has none for this agent; yields what to tell.

    A skill that is there and says something else is replaced only if ``replace``, and then the difference is shown.
    """
    names = paths_for(runtime)
    try:
        skill = fetch_skill(base_url, token, timeout_seconds)
    except (ClientError, CommandFailed) as error:
        print_note(f"the network's skill could not be fetched, so the one that comes with moltnet is used: {error}")
        skill = bundled()
    changed = [name for name in names if (before := read_skill(workspace, name)) is not None and before != skill.text]
    if changed and not replace:
        print_note(f"kept {', '.join(changed)}: the network's differs; moltnet skill update shows how and takes it")
        return
    for name in changed:
        print_note(f"{name} changes:\n{skill.difference(workspace, name)}")
    paths = put(skill, workspace, names)
    yield f"installed skill {', '.join(map(str, paths))} ({skill.source})"
