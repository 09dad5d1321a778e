"""Hypothesis strategies for every value of the wire, made from the fields of its class."""

import types
from typing import Any, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from moltnet.protocol import (
    administration,
    agents,
    artifacts,
    events,
    frames,
    messages,
    network,
    pages,
    pairings,
    rooms,
)

SUBJECTS = (administration, agents, artifacts, events, frames, messages, network, pages, pairings, rooms)
# A query, not a document.
NOT_ON_THE_WIRE = frozenset({pages.PageRequest})

WIRE_TYPES: tuple[type[Any], ...] = tuple(
    cls
    for subject in SUBJECTS
    for cls in vars(subject).values()
    if isinstance(cls, type) and attrs.has(cls) and cls.__module__ == subject.__name__ and cls not in NOT_ON_THE_WIRE
)

INTEGERS = st.integers(-(2**63), 2**64 - 1)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a class or of an annotation that one of its fields has."""
    if attrs.has(kind):
        hints = get_type_hints(kind)
        return st.builds(
            kind, **{field.alias or field.name: values_of(hints[field.name]) for field in attrs.fields(kind)}
        )
    if get_origin(kind) is types.UnionType:
        return st.one_of([st.none() if each is type(None) else values_of(each) for each in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(values_of(get_args(kind)[0]), max_size=2).map(tuple)
    if get_origin(kind) is dict:
        return st.dictionaries(st.text(max_size=4), JSON, max_size=3)
    if kind is int:
        return INTEGERS
    if kind is str or getattr(kind, "__supertype__", None) is str:
        return st.text(max_size=12)
    return st.from_type(kind)
