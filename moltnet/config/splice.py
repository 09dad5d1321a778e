"""Small changes to the text of a configuration file: an entry more in a list, another value of a key.

Everything else stays as its author wrote it: comments, order, quotes, blank lines. What is written is plain YAML or
JSON; whether it means what was wanted is checked by ``server_edit``, which reads it back.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import yaml

Scalar = str | bool
Entry = Mapping[str, Scalar | Sequence[str]]

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
# What a reader of some version of YAML takes for something else than text.
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_WORDS: Final = frozenset(("y", "yes", "n", "no", "on", "off", "true", "false", "null"))


@attrs.frozen
class Append:
    """One more entry at the end of the list at ``keys``, which is made if it is not there."""

    keys: tuple[str, ...]
    entry: Entry

    def applied(self, root: dict[str, Any]) -> None:
        """The same on plain values."""
        holder = root
        for key in self.keys[:-1]:
            holder[key] = holder = holder.get(key) or {}
        holder[self.keys[-1]] = [*(holder.get(self.keys[-1]) or []), _plain(self.entry)]


@attrs.frozen
class SetKey:
    """Another value of ``key`` in the entry ``index`` of the list at ``keys``."""

    keys: tuple[str, ...]
    index: int
    key: str
    value: Scalar

    def applied(self, root: dict[str, Any]) -> None:
        holder: Any = root
        for key in self.keys:
            holder = holder[key]
        holder[self.index][self.key] = self.value


Change = Append | SetKey


class CannotSplice(Exception):
    """The file is written in a way that this module does not change."""


def spliced(text: str, changes: Sequence[Change], *, is_json: bool) -> str:
    """``text`` with every change made. Raises ``CannotSplice``."""
    if is_json:
        root = json.loads(text)
        for change in changes:
            change.applied(root)
        return json.dumps(root, indent=2, ensure_ascii=False) + "\n"
    mark, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    newline = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += newline
    for change in changes:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise CannotSplice("it holds no keys and values")
        splice = _Splice(text, newline)
        text = splice.append(root, change) if isinstance(change, Append) else splice.set_key(root, change)
    return mark + text


@attrs.frozen
class _Splice:
    text: str
    newline: str

    def append(self, root: yaml.MappingNode, change: Append) -> str:
        holder = root
        for depth, key in enumerate(change.keys):
            rest = change.keys[depth + 1 :]
            key_node, value = _find(holder, key)
            if key_node is None:
                return self._add_key(holder, key, _nested(rest, [_plain(change.entry)]))
            if isinstance(value, yaml.ScalarNode) and value.style is None and value.value.strip() in _NULLS:
                return self._fill(holder, key_node, value, _nested(rest, [_plain(change.entry)]))
            if not rest:
                return self._extend(holder, key_node, value, change.entry)
            if not isinstance(value, yaml.MappingNode):
                raise CannotSplice(f"{key} holds no keys")
            holder = value
        raise CannotSplice("no key was named")

    def set_key(self, root: yaml.MappingNode, change: SetKey) -> str:
        node: yaml.Node = root
        for key in change.keys:
            if not isinstance(node, yaml.MappingNode):
                raise CannotSplice(f"{key} is in no mapping")
            node = _find(node, key)[1] or root
        if not isinstance(node, yaml.SequenceNode) or not isinstance(node.value[change.index], yaml.MappingNode):
            raise CannotSplice("it holds no such list")
        entry: yaml.MappingNode = node.value[change.index]
        key_node, value = _find(entry, change.key)
        if key_node is None or value is None:
            return self._add_key(entry, change.key, change.value)
        return self._replace(value.start_mark.index, value.end_mark.index, _scalar(change.value))

    def _extend(self, holder: yaml.MappingNode, key_node: yaml.Node, value: yaml.Node | None, entry: Entry) -> str:
        if not isinstance(value, yaml.SequenceNode):
            raise CannotSplice("a list is expected where there is none")
        if not value.flow_style:
            return self._insert_lines(self._end(value), _block([_plain(entry)], value.start_mark.column))
        if value.value:
            last = self._end(value)
            return self._replace(last, last, f", {_flow(_plain(entry))}")
        return self._fill(holder, key_node, value, [_plain(entry)])

    def _fill(self, holder: yaml.MappingNode, key_node: yaml.Node, value: yaml.Node, content: Any) -> str:
        """Put something in the place of an empty value: on the lines below its key, unless that stands in brackets."""
        start, end = value.start_mark.index, value.end_mark.index
        if holder.flow_style:
            return self._replace(start, end, " " * (start == key_node.end_mark.index + 1) + _flow(content))
        before = self.text[:start].rstrip(" ")
        cut = _Splice(before + self.text[end:], self.newline)
        return cut._insert_lines(len(before), _block(content, key_node.start_mark.column + 2))

    def _add_key(self, holder: yaml.MappingNode, key: str, value: Any) -> str:
        end = self._end(holder)
        if holder.flow_style:
            text = f"{json.dumps(key)}: {_flow(value)}"
            at = end if holder.value else holder.start_mark.index + 1
            return self._replace(at, at, f", {text}" if holder.value else text)
        return self._insert_lines(end, _block({key: value}, holder.start_mark.column))

    def _end(self, node: yaml.Node) -> int:
        """Where the content of a node ends: the parser counts the comments below a block to it."""
        if isinstance(node, yaml.ScalarNode):
            return len(self.text[: node.end_mark.index].rstrip()) if node.style in ("|", ">") else node.end_mark.index
        assert isinstance(node, yaml.CollectionNode)
        if node.flow_style and not node.value:
            return int(node.end_mark.index)
        inner = [
            self._outer_end(item) for pair in node.value for item in (pair if isinstance(pair, tuple) else (pair,))
        ]
        return max(inner, default=node.end_mark.index)

    def _outer_end(self, node: yaml.Node) -> int:
        is_flow = isinstance(node, yaml.CollectionNode) and node.flow_style
        return int(node.end_mark.index) if is_flow else self._end(node)

    def _replace(self, start: int, end: int, text: str) -> str:
        return self.text[:start] + text + self.text[end:]

    def _insert_lines(self, after: int, lines: Sequence[str]) -> str:
        """Put lines below the one that holds the position ``after``."""
        at = self.text.find("\n", after) + 1
        return self._replace(at, at, "".join(line + self.newline for line in lines))


def _find(holder: yaml.MappingNode, key: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    for key_node, value in holder.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == key:
            return key_node, value
    return None, None


def _nested(keys: Sequence[str], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _plain(entry: Entry) -> dict[str, Any]:
    return {key: value if isinstance(value, str | bool) else list(value) for key, value in entry.items()}


def _block(value: Any, column: int) -> list[str]:
    """A mapping or a list of mappings as lines of YAML."""
    indent = " " * column
    if isinstance(value, list):
        lines: list[str] = []
        for entry in value:
            first, *others = _block(entry, column + 2)
            lines += [f"{indent}- {first.lstrip()}", *others]
        return lines
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict) or (isinstance(inner, list) and inner and isinstance(inner[0], dict)):
            lines += [f"{indent}{key}:", *_block(inner, column + 2)]
        elif isinstance(inner, list):
            lines.append(f"{indent}{key}: [{', '.join(map(_scalar, inner))}]")
        else:
            lines.append(f"{indent}{key}: {_scalar(inner)}")
    return lines


def _flow(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if is_plain else json.dumps(value, ensure_ascii=False)
