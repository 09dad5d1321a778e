"""Excerpts and lines of a stream, whatever the pieces it comes in."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.output import Excerpt, LineSplitter


def split(chunks: Sequence[bytes], *, max_line_bytes: int = 1000) -> tuple[list[bytes], int]:
    splitter = LineSplitter(max_line_bytes)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return [*lines, *splitter.close()], splitter.skipped_lines


def test_a_short_stream_is_kept_whole() -> None:
    excerpt = Excerpt(head_bytes=4, tail_bytes=4)
    for chunk in (b"ab", b"cdef"):
        excerpt.add(chunk)
    assert excerpt.text() == "abcdef"
    assert not excerpt.truncated


def test_of_a_long_stream_the_beginning_and_the_end_are_kept() -> None:
    excerpt = Excerpt(head_bytes=4, tail_bytes=4)
    excerpt.add(b"begi" + b"x" * 100 + b"last")
    assert excerpt.truncated
    assert excerpt.text() == "begi\n[… 100 bytes left out …]\nlast"


def test_bytes_that_are_no_text_do_not_stop_an_excerpt() -> None:
    excerpt = Excerpt(head_bytes=100, tail_bytes=0)
    excerpt.add(b"caf\xe9 \xff\x00")
    assert excerpt.text() == "caf� �\x00"


@given(chunks=st.lists(st.binary(max_size=30)), head_bytes=st.integers(0, 20), tail_bytes=st.integers(0, 20))
def test_an_excerpt_does_not_depend_on_the_pieces(chunks: list[bytes], head_bytes: int, tail_bytes: int) -> None:
    stream = b"".join(chunks)
    pieced, whole = Excerpt(head_bytes, tail_bytes), Excerpt(head_bytes, tail_bytes)
    for chunk in chunks:
        pieced.add(chunk)
    whole.add(stream)
    assert pieced.text() == whole.text()
    assert pieced.dropped_bytes == max(0, len(stream) - head_bytes - tail_bytes)


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\ntwo", [b"one", b"two"]),
        (b"one\r\n\ntwo\n", [b"one", b"", b"two"]),
        (b"\xff\xfe\n", [b"\xff\xfe"]),
    ],
)
def test_lines_come_without_their_ends(stream: bytes, lines: list[bytes]) -> None:
    assert split([stream]) == (lines, 0)
    assert split([stream[i : i + 1] for i in range(len(stream))]) == (lines, 0)


def test_an_overlong_line_is_skipped_and_counted() -> None:
    assert split([b"short\n" + b"x" * 11, b"x\nnext\n"], max_line_bytes=10) == ([b"short", b"next"], 1)
    assert split([b"x" * 11], max_line_bytes=10) == ([], 1)


@given(chunks=st.lists(st.text(alphabet="ab\n", max_size=12).map(str.encode)))
def test_lines_do_not_depend_on_the_pieces(chunks: list[bytes]) -> None:
    assert split(chunks, max_line_bytes=6) == split([b"".join(chunks)], max_line_bytes=6)
