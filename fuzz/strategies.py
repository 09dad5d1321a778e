"""Inputs of a target as Hypothesis makes them: stored ones with edits that respect their form, and texts of its words.

What is changed of a stored input that ends in JSON is a value anywhere in it; the rest is edited as text.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from hypothesis import strategies as st

from fuzz.campaign import Target, seeds
from fuzz.mutation import MAX_INPUT_BYTES

MOST_EDITS: Final = 4
MAX_NOISE_BYTES: Final = 200
_ODD: Final[st.SearchStrategy[Any]] = st.sampled_from(
    (None, True, False, 0, -1, 2**53 + 1, 2**63, 1e308, "", " ", "\0", "ä", "\u202e", "\u2028", "a" * 129, [], {}, [[]])
)
_VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    _ODD | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs near to the stored ones, far from them, and everything between."""
    stored = seeds(target)
    words = st.sampled_from([*(target.tokens or (b"",)), b"\n", b" "])
    with_json = [each for each in stored if _json_start(each) is not None]
    kinds: list[st.SearchStrategy[bytes]] = [
        _edited(stored, words),
        st.lists(words, max_size=30).map(b"".join),
        st.binary(max_size=MAX_NOISE_BYTES),
    ]
    if with_json:
        kinds.insert(0, _with_other_values(with_json))
    return st.one_of(kinds).map(lambda data: data[:MAX_INPUT_BYTES])


@st.composite
def _edited(draw: st.DrawFn, stored: Sequence[bytes], words: st.SearchStrategy[bytes]) -> bytes:
    data = draw(st.sampled_from(stored))
    for _ in range(draw(st.integers(0, MOST_EDITS))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(words | st.binary(max_size=4)) + data[end:]
    return data


@st.composite
def _with_other_values(draw: st.DrawFn, stored: Sequence[bytes]) -> bytes:
    data = draw(st.sampled_from(stored))
    start = _json_start(data)
    document = orjson.loads(data[start:])
    for _ in range(draw(st.integers(1, MOST_EDITS))):
        document = _changed(draw, document)
    return data[:start] + orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """A copy of ``value`` with another value, or one less or one more, somewhere in it."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(_VALUES)
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = draw(st.sampled_from(keys))
    match draw(st.integers(0, 7)):
        case 0 if isinstance(value, dict):
            return {name: item for name, item in value.items() if name != key}
        case 0:
            return [item for index, item in enumerate(value) if index != key]
        case 1 if isinstance(value, list):
            return [*value, value[key]]
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = _changed(draw, value[key])
    return changed


def _json_start(data: bytes) -> int | None:
    """Where a document begins that the input ends with."""
    for start in (data.find(b"{"), data.find(b"[")):
        try:
            if start >= 0 and orjson.loads(data[start:]):
                return start
        except orjson.JSONDecodeError:
            continue
    return None
