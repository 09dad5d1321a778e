"""JSON on the wire to values and back: the only place where bytes become types.

``decode`` is strict about types (no ``5`` for ``"5"``), lenient about unknown keys, and names the path of every
problem. Meaning (is this id valid, may this sender write) is decided elsewhere.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar, get_args, get_origin

import attrs
import orjson
from cattrs import ClassValidationError, Converter, IterableValidationError, IterableValidationNote
from cattrs.errors import ForbiddenExtraKeysError, StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from moltnet.protocol.limits import MAX_JSON_DEPTH, MAX_QUOTED_CHARACTERS, MAX_REPORTED_PROBLEMS

T = TypeVar("T")

WIRE_NAME: Final = "wire_name"
ALWAYS: Final = "always"


def wire(*, name: str | None = None, always: bool = False) -> dict[str, object]:
    """Metadata of a field: its key on the wire, and whether the key is present even when the value is its default."""
    return {WIRE_NAME: name, ALWAYS: always}


@attrs.frozen
class Problem:
    """One thing wrong with a document, at ``path`` (``$.parts[0].kind``)."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class DecodeError(ValueError):
    """The bytes are not the expected document. ``problems`` lists what was found: at least one, at most
    ``MAX_REPORTED_PROBLEMS``."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems[:MAX_REPORTED_PROBLEMS]
        super().__init__("; ".join(str(problem) for problem in self.problems))


class WrongType(TypeError):
    """A JSON value of another type than the field's."""


_JSON_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def _json_name(kind: type) -> str:
    return _JSON_NAMES.get(kind, kind.__name__)


def _exact(value: Any, kind: type[T]) -> T:
    # ``bool`` is a subclass of ``int``: compare the exact type.
    if type(value) is not kind:
        raise WrongType(f"must be {_json_name(kind)}, not {_json_name(type(value))}")
    return value


def _member(value: Any, kind: type[StrEnum]) -> StrEnum:
    if _exact(value, str) not in frozenset(kind):
        raise WrongType(f"must be one of {', '.join(kind)}")
    return kind(value)


def _object(value: Any, _: Any) -> dict[str, Any]:
    return _exact(value, dict)


def _is_dict(kind: Any) -> bool:
    return kind is dict or get_origin(kind) is dict


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def make_converter(*, forbid_extra_keys: bool = False, most_problems_per_list: int | None = None) -> Converter:
    """A converter with exact scalars. ``null`` for a field with a default means the default (message model §1).

    Optional keys are left out of the encoded form when they hold their default, unless ``wire(always=True)``. After
    ``most_problems_per_list`` wrong items the rest of a list is not looked at.
    """
    converter = Converter(detailed_validation=True)
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exact)
    # Without a hook of their own enumerations would get that of ``str``, whose subclass they are.
    converter.register_structure_hook(StrEnum, _member)
    converter.register_structure_hook(
        float, lambda value, _: float(value) if type(value) in (int, float) else _exact(value, float)
    )
    converter.register_structure_hook_func(_is_dict, _object)

    def structure_tuple(value: Any, kind: Any) -> tuple[Any, ...]:
        item_kind = get_args(kind)[0]
        structure_item = converter.get_structure_hook(item_kind)
        items, errors = [], []
        for index, item in enumerate(_exact(value, list)):
            try:
                items.append(structure_item(item, item_kind))
            except Exception as error:
                error.add_note(IterableValidationNote(f"item {index}", index, item_kind))
                errors.append(error)
                if len(errors) == most_problems_per_list:
                    break
        if errors:
            raise IterableValidationError("wrong items", errors, kind)
        return tuple(items)

    converter.register_structure_hook_func(_is_tuple, structure_tuple)

    def structure_class(cls: type) -> Any:
        renames: dict[str, Any] = {
            field.name: override(rename=field.metadata[WIRE_NAME])
            for field in attrs.fields(cls)
            if field.metadata.get(WIRE_NAME)
        }
        inner: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=forbid_extra_keys, **renames)

        def structure(value: Any, kind: Any) -> Any:
            _exact(value, dict)
            # A key that is null says nothing, so the field keeps its default.
            if None in value.values():
                value = {key: item for key, item in value.items() if item is not None}
            return inner(value, kind)

        return structure

    def unstructure_class(cls: type) -> Any:
        fields: dict[str, Any] = {
            field.name: override(rename=field.metadata.get(WIRE_NAME), omit_if_default=not field.metadata.get(ALWAYS))
            for field in attrs.fields(cls)
        }
        return make_dict_unstructure_fn(cls, converter, **fields)

    converter.register_structure_hook_factory(attrs.has, structure_class)
    converter.register_unstructure_hook_factory(attrs.has, unstructure_class)
    return converter


def explain(error: BaseException, path: str = "$") -> list[Problem]:
    """Turn what a converter raised into one problem per field, each with its path."""
    if isinstance(error, ClassValidationError):
        with_notes, without = error.group_exceptions()
        problems = [problem for inner in without for problem in explain(inner, path)]
        for inner, note in with_notes:
            problems += explain(inner, f"{path}.{_wire_name_of(error.cl, note.name)}")
        return problems
    if isinstance(error, IterableValidationError):
        indexed, rest = error.group_exceptions()
        problems = [problem for inner in rest for problem in explain(inner, path)]
        for inner, position in indexed:
            problems += explain(inner, f"{path}[{position.index}]")
        return problems
    if isinstance(error, ForbiddenExtraKeysError):
        return [Problem(f"{path}.{key}", "is not a known field") for key in sorted(error.extra_fields)]
    if isinstance(error, KeyError):
        return [Problem(path, "is required")]
    if isinstance(error, StructureHandlerNotFoundError):
        return [Problem(path, "has an unsupported type")]
    return [Problem(path, str(error))]


def _wire_name_of(cls: type, name: str) -> str:
    return getattr(attrs.fields_dict(cls)[name], "metadata", {}).get(WIRE_NAME) or name


@functools.cache
def wire_converter() -> Converter:
    """The converter of the wire: unknown keys are ignored, as peers of other versions may send them.

    It gives up on a list of wrong items: half a million of them fit into one body, and explaining each took seconds.
    """
    return make_converter(forbid_extra_keys=False, most_problems_per_list=MAX_REPORTED_PROBLEMS)


def is_deeper_than(value: object, levels: int) -> bool:
    """Whether lists and objects are nested in more than so many levels, ``value`` itself being the first."""
    level = [value]
    for _ in range(levels):
        level = [item for container in level for item in _containers_in(container)]
        if not level:
            return False
    return True


def _containers_in(value: object) -> Iterator[object]:
    items: Iterable[object] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in items if type(item) is dict or type(item) is list)


# In valid JSON: every string, with a colon in the group if it is a key.
_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"(?:[ \t\r\n]*(:))?'
_STRINGS: Final = re.compile(_STRING)
_STRINGS_OF_BYTES: Final = re.compile(_STRING.encode())


def _repeats_a_key(data: bytes | str, value: object) -> bool:
    """Whether there are more keys in a document than in its value: then readers may disagree on what it says."""
    waiting, kept = [value], 0
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict):
            kept += len(container)
        waiting.extend(_containers_in(container))
    # A key takes a colon. Most documents have no others, or few.
    if kept >= (data.count(":") if isinstance(data, str) else data.count(b":")):
        return False
    written = (
        _STRINGS.findall(data).count(":") if isinstance(data, str) else _STRINGS_OF_BYTES.findall(data).count(b":")
    )
    return kept < written


class _KeyRepeated(ValueError):
    pass


def _unique_keys(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _KeyRepeated(key[:MAX_QUOTED_CHARACTERS])
        found[key] = value
    return found


def _repeated_key(data: bytes | str) -> str:
    try:
        json.loads(data, object_pairs_hook=_unique_keys)
    except _KeyRepeated as error:
        return str(error)
    raise AssertionError("no key is repeated")


def parse_json(data: bytes | str) -> Any:
    """Plain JSON to plain values. Raises ``DecodeError`` on anything that is not exactly one JSON document, and on
    an object that has a key twice.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError(Problem("$", f"is not valid JSON: {error.msg} at character {error.pos}")) from error
    if is_deeper_than(value, MAX_JSON_DEPTH):
        raise DecodeError(Problem("$", f"is nested deeper than {MAX_JSON_DEPTH} levels"))
    if _repeats_a_key(data, value):
        raise DecodeError(Problem("$", f'has the key "{_repeated_key(data)}" twice in one object'))
    return value


def structure(value: object, kind: type[T]) -> T:
    """Plain values to a typed one. Raises ``DecodeError``, which names each problem's path."""
    try:
        return wire_converter().structure(value, kind)
    except RecursionError as error:
        raise DecodeError(Problem("$", "is nested too deeply")) from error
    except Exception as error:
        raise DecodeError(*explain(error)) from error


def decode(data: bytes | str, kind: type[T]) -> T:
    """JSON to a value of ``kind``. Raises ``DecodeError``; ``null`` for the whole document means ``{}``."""
    value = parse_json(data)
    return structure({} if value is None else value, kind)


def unstructure(value: object) -> Any:
    """A value to plain JSON values, with wire names and without empty optional keys."""
    return wire_converter().unstructure(value)


def encode(value: object) -> bytes:
    """A value to compact JSON."""
    return encode_plain(unstructure(value))


def encode_plain(plain: object) -> bytes:
    """Plain values, which ``unstructure`` has made, to compact JSON."""
    # A copy: orjson's own result keeps the 4 KiB that it was written into, for as long as it lives.
    return bytes(memoryview(orjson.dumps(plain)))
