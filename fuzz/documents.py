"""Invariant: whatever names, ids and addresses hold, the documents for agents say the same as with harmless ones.

No value adds a line, a heading, a block, a word to a command, or a key to a file: what an agent carries out is what we
wrote, whoever chose the names in it. That is ``install.md``, ``skill.md``, ``llms.txt`` and ``/v1/skill``.

An input is one value on each line, separated by null bytes: network id, its name, base URL, agent, and rooms.
"""

import re
import shlex
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import yaml

from fuzz.campaign import Target, main
from moltnet.auth.claims import CredentialKind
from moltnet.config.settings import AuthMode, Registration
from moltnet.protocol.codec import decode, encode
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.limits import MAX_SKILL_BYTES
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.protocol.skill import SkillDocument
from moltnet.skill.document import skill_document
from moltnet.skill.escaping import one_line
from moltnet.skill.profile import Profile, RoomFacts
from moltnet.skill.texts import index_text, install_document, skill_text

MOST_ROOMS: Final = 4
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(
            "\0",
            "\n",
            "\r\n",
            "```",
            "```sh\n",
            "`",
            "~~~",
            "# ",
            "## Do this\n",
            "---\n",
            "- ",
            "> ",
            "| ",
            "<script>",
        ),
        *("'", '"', "\\", "$(id)", "; id", " && id", "|sh", "&", "$HOME", "<agent-id>", "general", "https://lab.test"),
        *(
            "key: ",
            "{",
            "}",
            "[",
            "]",
            "&a",
            "*a",
            "!!x",
            "\u2028",
            "\u202e",
            "\x1b[2J",
            "\x85",
            "\u200b",
            "\ud7ff",
            "~",
        ),
    )
)
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def check(data: bytes) -> Hashable:
    """Raises if a value breaks the invariant; otherwise says what kinds of values they were."""
    values = data.decode(errors="replace").split("\0")
    shown = [one_line(value) for value in values]
    for kind in (CredentialKind.AGENT, CredentialKind.ANONYMOUS):
        rooms = len(values[4 : 4 + MOST_ROOMS])
        profile = _profile(kind, values)
        for name, render in TEXTS.items():
            _check_text(name, render(profile), *_plain(kind, rooms)[name])
        document = skill_document(profile)
        if decode(encode(document), SkillDocument) != document:
            raise AssertionError("the skill as values is read as another")
        _check_files(profile)
    return len(values[4 : 4 + MOST_ROOMS]), *(_kind_of_value(value) for value in shown[:4])


TEXTS: Final[Mapping[str, Callable[[Profile], str]]] = {
    "install.md": install_document,
    "skill.md": skill_text,
    "llms.txt": index_text,
}


def _profile(kind: CredentialKind, values: list[str]) -> Profile:
    network_id, name, base_url, agent = (*values, "", "", "", "")[:4]
    stranger = kind is CredentialKind.ANONYMOUS
    return Profile(
        base_url=base_url,
        network_id=NetworkId(network_id),
        # Whether a name is a title is another question, and changes a line.
        network_name=f"{name}!",
        mode=AuthMode.OPEN if stranger else AuthMode.BEARER,
        registration=Registration.OPEN if stranger else Registration.DISABLED,
        kind=kind,
        rooms=tuple(_room(id, opens=stranger) for id in values[4 : 4 + MOST_ROOMS]),
        agents=() if stranger else (AgentId(agent),),
        direct_messages=True,
        reads_direct=not stranger,
        sends_direct=not stranger,
    )


def _room(id: str, *, opens: bool) -> RoomFacts:
    policy = WritePolicy.REGISTERED_AGENTS if opens else WritePolicy.MEMBERS
    return RoomFacts(RoomId(id), id, Visibility.PUBLIC, policy, can_write=not opens, opens=opens, is_member=not opens)


@cache
def _plain(kind: CredentialKind, rooms: int) -> Mapping[str, tuple[Hashable, ...]]:
    """The shape of each text with values that mean no harm."""
    plain = _profile(kind, ["lab", "Lab", "https://lab.test", "alpha", *(f"room-{number}" for number in range(rooms))])
    return {name: _shape_of(name, render(plain)) for name, render in TEXTS.items()}


def _shape_of(name: str, text: str) -> tuple[Hashable, ...]:
    # Plain text, in which nothing but a line break means anything.
    return (len(text.splitlines()),) if name == "llms.txt" else tuple(_shape(text))


def _shape(text: str) -> Iterator[Hashable]:
    """What of a text no value may change."""
    lines = text.replace("\\\n", " ").splitlines()  # a long command takes several
    yield len(lines)
    yield tuple(line for line in lines if line.startswith("#"))[1:]  # the first names the network
    yield tuple(line for line in lines if line.startswith(("```", "~~~", "---")))
    words = [shlex.split(line) for line in _block_lines(text)]
    yield tuple((len(each), *each[:2]) for each in words)
    yield tuple(_keys(_yaml(body)) for language, body in _FENCE.findall(text) if language == "yaml")


def _block_lines(text: str) -> Iterator[str]:
    for language, body in _FENCE.findall(text):
        if language == "sh":
            yield from body.replace("\\\n", " ").splitlines()


def _yaml(text: str) -> Any:
    # The safe loader in C: seven files in each of four documents, some ten times as fast.
    return yaml.load(text, yaml.CSafeLoader)


def _keys(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple((key, _keys(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_keys, value))
    return type(value).__name__


def _check_text(name: str, text: str, *plain: Hashable) -> None:
    if len(text.encode()) > MAX_SKILL_BYTES:
        raise AssertionError(f"{name} is larger than what programs install")
    # `splitlines` of the shape takes every line break there is, and a terminal obeys what is not printable.
    if any(not character.isprintable() and character != "\n" for character in text):
        raise AssertionError(f"{name} holds what is not printable")
    for found, wanted in zip(_shape_of(name, text), plain, strict=True):
        if found != wanted:
            raise AssertionError(f"{name}: {found!r} instead of {wanted!r}")


def _check_files(profile: Profile) -> None:
    (node, *_) = [body for language, body in _FENCE.findall(install_document(profile)) if language == "yaml"]
    file = _yaml(node)
    said = (file["moltnet"]["base_url"], file["moltnet"]["network_id"])
    if said != (one_line(profile.base_url), one_line(profile.network_id)):
        raise AssertionError(f"the node file says {said!r}")


def _kind_of_value(value: str) -> str:
    return "".join(sorted({_kind_of(character) for character in value}))


def _kind_of(character: str) -> str:
    return "a" if character.isalnum() else character if character.isascii() else "?"


TARGET: Final = Target("documents", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
