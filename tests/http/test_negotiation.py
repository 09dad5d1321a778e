"""Reading what a client takes and what it sends, header by header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.http.conditional import entity_tag, is_current
from moltnet.http.negotiation import accepts_gzip, body_problem, excludes


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip; q=0.001", True),
        ("gzip;q=0, *", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0.5, identity;q=0.8", False),
        ("gzip;q=0.8, identity;q=0.5", True),
        ("identity;q=0, gzip", True),
        ("gzip;q=nonsense", False),
        ("gzip;q=2", False),
        ("gzipped", False),
        (",,;;,q=1,gzip", True),
    ],
)
def test_whether_gzip_is_taken(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/event-stream", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        # Named nowhere, refused nowhere.
        ("text/html", False),
        ("application/json;q=0", True),
        ("APPLICATION/JSON; Q=0.0", True),
        ("application/*;q=0", True),
        ("text/event-stream, */*;q=0", True),
        ("*/*;q=0, application/json", False),
        ("*/*, application/json;q=0", True),
        ("application/*;q=0, application/json;q=0.1", False),
        ("application/json;q=nonsense", False),
        ('text/html;note="a;q=0"', False),
        ("garbage", False),
    ],
)
def test_whether_json_is_excluded(header: str, expected: bool) -> None:
    assert excludes(header, "application/json") is expected


@pytest.mark.parametrize(
    ("content_type", "content_encoding", "word"),
    [
        ("", "", None),
        ("application/json", "", None),
        ("application/json; charset=utf-8", "identity", None),
        ('application/json; charset="UTF-8"', "Identity", None),
        ("text/plain;charset=US-ASCII", "", None),
        # What `curl -d` says of everything.
        ("application/x-www-form-urlencoded", "", None),
        ("garbage;;=", "", None),
        ("application/json; charset=utf-16", "", "UTF-8"),
        ("application/json;charset=iso-8859-1", "", "UTF-8"),
        ("multipart/form-data; boundary=x", "", "parts"),
        ("Multipart/Mixed", "", "parts"),
        ("application/json", "gzip", "compressed"),
        ("application/json", "identity, br", "compressed"),
        ("application/json", "nonsense", "compressed"),
    ],
)
def test_which_bodies_cannot_be_meant_as_json(content_type: str, content_encoding: str, word: str | None) -> None:
    problem = body_problem(content_type, content_encoding)
    assert (problem is None) if word is None else (problem is not None and word in problem)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ('W/"one"', True),
        ('"one"', True),
        ('"two", W/"one"', True),
        ('"two" ,"three",\t"one" ', True),
        ('"two",,"one",', True),
        ("*", True),
        (" * ", True),
        ('"two"', False),
        ("one", False),
        ('"one', False),
        ('w/"one"', False),
        ('"one" "two"', False),
        ('"one", nonsense', False),
        ('*, "one"', False),
        ('"on,e", "one"', True),
    ],
)
def test_which_lists_name_a_tag(header: str, expected: bool) -> None:
    assert is_current(header, 'W/"one"') is expected


def test_a_tag_names_its_body_and_no_other() -> None:
    assert entity_tag(b"a") == entity_tag(b"a") != entity_tag(b"b")
    assert is_current(entity_tag(b"a"), entity_tag(b"a"))


headers = st.text(st.sampled_from(list(' \t,;=*/"\\W/gzipqjson019.é\x00')), max_size=60)


@given(headers)
def test_no_header_breaks_anything(header: str) -> None:
    assert accepts_gzip(header) in (True, False)
    assert excludes(header, "application/json") in (True, False)
    assert body_problem(header, "") is None or body_problem(header, "")
    assert is_current(header, 'W/"one"') in (True, False)


@pytest.mark.parametrize("piece", ['"', ",", ";q=", '"a",', "W/", ';a="\\', "*/*;", " "])
def test_a_long_header_is_read_in_one_go(piece: str) -> None:
    """Each reading is linear: with backtracking this would never end."""
    header = piece * (16_000 // len(piece))
    assert [accepts_gzip(header), excludes(header, "a/b"), is_current(header, '"x"')] == [False] * 3
    assert body_problem(header, "gzip") is not None
