"""Plain values to the shape of a file: an attrs class whose fields are the keys that the file may have.

A shape has a default for every field, so a wrong value is reported and left at its default, and the rules of the
file still look at all the rest. What values mean is decided by those rules.
"""

import difflib
import functools
import itertools
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
from cattrs import Converter

from moltnet.config.documents import Document, parse_document
from moltnet.config.files import ConfigFile, read_config_file
from moltnet.config.problems import ROOT, Findings
from moltnet.config.secrets import Secret
from moltnet.config.server_limits import CountSpec
from moltnet.config.walks import BoolWord
from moltnet.protocol.codec import WrongType, explain, make_converter

T = TypeVar("T")

CommandSpec = str | tuple[str, ...]
"""A command as a file gives it: one string or a list of arguments."""

_UNKNOWN: Final = "is not a known field"
_NOT_QUOTED: Final = tuple(f"must be a string, not {kind}" for kind in ("an integer", "a number", "true or false"))
_POSITION: Final = re.compile(r"\[\d+\]")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


@functools.cache
def config_converter(*, forbid_extra_keys: bool = True) -> Converter:
    """The wire's exact types, plus secrets, commands and the words that YAML files use for booleans."""
    converter = make_converter(forbid_extra_keys=forbid_extra_keys)
    strict = make_converter()

    def text(value: Any, _: Any) -> str:
        return str(value) if type(value) is BoolWord else strict.structure(value, str)

    def truth(value: Any, _: Any) -> bool:
        return value.truth if type(value) is BoolWord else strict.structure(value, bool)

    def count(value: Any, _: Any) -> CountSpec:
        if type(value) is int:
            return value
        if isinstance(value, str) and type(value) is not BoolWord:
            return str(value)
        raise WrongType("must be a number")

    def command(value: Any, _: Any) -> CommandSpec:
        if isinstance(value, list):
            return converter.structure(value, tuple[str, ...])
        if isinstance(value, str):
            return str(value)
        raise WrongType("must be a string or a list of strings")

    converter.register_structure_hook(str, text)
    converter.register_structure_hook(bool, truth)
    converter.register_structure_hook(Secret, lambda value, _: Secret(text(value, str)))
    converter.register_structure_hook(CommandSpec, command)
    converter.register_structure_hook(CountSpec, count)
    return converter


def read_shape(path: Path, kind: type[T], *, always_json: bool = False) -> tuple[ConfigFile, T, Findings]:
    """Read a file as ``kind``. What is wrong inside is in the findings; the caller raises when its rules are done.

    Raises ``ConfigError`` at once if the file cannot be read or holds no document that rules could look at.
    """
    file = read_config_file(path)
    document = parse_document(file.data, is_json=always_json or file.is_json)
    findings = Findings(path, document.lines)
    findings.add_all(document.problems)
    if document.root is None or not isinstance(document.root, dict):
        if not document.problems:
            findings.add(ROOT, "must hold keys and values")
        findings.raise_if_any()
    return file, structure(document, kind, findings), findings


def structure(document: Document, kind: type[T], findings: Findings, root: str = ROOT) -> T:
    """``document`` as ``kind``, where every wrong value is noted under ``root`` and replaced by its default."""
    try:
        return config_converter().structure(document.root, kind)
    except Exception as error:  # cattrs raises groups of whatever its hooks raise; ``explain`` names each
        problems = explain(error)
    pruned = document.root
    for problem in problems:
        path = root + problem.path.removeprefix(ROOT)
        if problem.message == _UNKNOWN:
            findings.add(path, _UNKNOWN + _suggestion(problem.path, kind))
            continue
        advice = " (write it in quotes)" if problem.message.startswith(_NOT_QUOTED) else ""
        findings.add(path, problem.message + advice)
        pruned = _without(pruned, steps := _steps(problem.path))
        findings.settle(root + "".join(steps[: _last_key(steps) + 1]))
    return config_converter(forbid_extra_keys=False).structure(pruned, kind)


def _steps(path: str) -> list[str]:
    return [match[0] for match in _STEP.finditer(path.removeprefix(ROOT))]


def _last_key(steps: list[str]) -> int:
    return max(index for index, step in enumerate(steps) if step.startswith("."))


def _without(value: Any, steps: list[str]) -> Any:
    """A copy of ``value`` without the innermost key on the way, so that no list changes its length."""
    step = steps[0]
    if step.startswith("["):
        index = int(step[1:-1])
        if index >= len(value):
            return value
        return [_without(item, steps[1:]) if at == index else item for at, item in enumerate(value)]
    key = step[1:]
    if key not in value:
        return value
    if any(later.startswith(".") for later in steps[1:]):
        return value | {key: _without(value[key], steps[1:])}
    return {name: item for name, item in value.items() if name != key}


def known_keys(kind: Any) -> Iterator[str]:
    """Every key that ``kind`` knows at any depth."""
    return (key for _, key in _known_places(kind))


def _known_places(kind: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every key that ``kind`` knows, after the place where it may stand: ``("storage.sqlite", "path")``."""
    if attrs.has(kind):
        hints = typing.get_type_hints(kind)
        for field in attrs.fields(kind):
            yield place, field.name
            yield from _known_places(hints[field.name], f"{place}.{field.name}" if place else field.name)
    inside = f"{place}[]" if typing.get_origin(kind) is tuple else place
    for inner in typing.get_args(kind):
        yield from _known_places(inner, inside)


def _suggestion(path: str, kind: Any) -> str:
    """What may be meant by the unknown key at ``path``: a key of its place, else the places that have this key."""
    place, _, key = _POSITION.sub("[]", path).removeprefix(ROOT).rpartition(".")
    place = place.removeprefix(".")
    known = dict.fromkeys(_known_places(kind))
    here = [name for at, name in known if at == place]
    if key in here:
        return " (a dot in a key does not nest it: write one key under the other)"
    if close := difflib.get_close_matches(key, here, n=1, cutoff=0.75):
        return f" (did you mean {close[0]}?)"
    places = [at for at, name in known if name == key and at]
    nearest = max((_shared_keys(place, at) for at in places), default=0)
    match [at for at in places if _shared_keys(place, at) == nearest]:
        case [at]:
            return f" (belongs under {at.removesuffix('[]')}: {at}.{key})"
        case [*others, last] if others:
            return f" (belongs under {', '.join(others)} or {last})"
    return " (belongs at the top level)" if ("", key) in known else ""


def _shared_keys(place: str, other: str) -> int:
    """How many keys two places have in common, from the top."""
    pairs = zip(place.split("."), other.split("."), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
