"""Changes to an input that keep some of its meaning. What is a failure is the targets' business."""

import random
from collections.abc import Callable, Sequence
from typing import Final

MAX_INPUT_BYTES: Final = 64 * 1024
"""Larger inputs cost time and reach no other code; the limits above this size have tests of their own."""
_MOST_CHANGES: Final = 6
"""In one input. More turn it into noise that the first check refuses."""

_EDGES: Final = (
    b"0",
    b"-1",
    b"9007199254740993",
    b"18446744073709551616",
    b"1e308",
    b"1e999",
    b"null",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b'" "',
    b'"\\u0000"',
    b'"\\ud800"',
    b"\xf0\x9f\x90\x9d",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"[" * 80,
    b'{"a":' * 80,
)

Change = Callable[[random.Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def mutate(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """One to a few random changes; ``tokens`` are words of the format, ``corpus`` other inputs to borrow from."""
    for _ in range(rng.randint(1, _MOST_CHANGES)):
        data = rng.choice(_CHANGES)(rng, data, corpus, tokens)
    return data[:MAX_INPUT_BYTES]


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.randint(1, 16))


def _change_byte(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _insert_token(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice([*tokens, *_EDGES]) + data[at:]


def _replace_with_token(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice([*tokens, *_EDGES]) + data[end:]


def _replace_string(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    pieces = data.split(b'"')  # strings stand at the odd places
    if len(pieces) < 3:
        return data
    at = rng.randrange(1, len(pieces), 2)
    return b'"'.join([*pieces[:at], rng.choice([*tokens, *_EDGES]).strip(b'"'), *pieces[at + 1 :]])


def _delete(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _repeat(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[start:end] * rng.choice((2, 3, 17)) + data[end:]


def _splice(rng: random.Random, data: bytes, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    other = rng.choice(corpus)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


_CHANGES: Final[tuple[Change, ...]] = (
    _change_byte,
    _insert_token,
    _replace_with_token,
    _replace_string,
    _delete,
    _repeat,
    _splice,
)
