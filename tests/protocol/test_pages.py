"""Pages: the size that a query asks for, and empty lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.protocol.codec import encode
from moltnet.protocol.limits import DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS
from moltnet.protocol.pages import AgentPage, DirectPage, MessagePage, PageInfo, RoomPage, ThreadPage, page_limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1", 1),
        ("100", 100),
        (" 7 ", 7),
        ("+7", 7),
        ("007", 7),
        ("500", 500),
        ("501", 500),
        ("999999999999999999", 500),
        (None, 100),
        ("", 100),
        ("0", 100),
        ("-1", 100),
        ("1.0", 100),
        ("1e2", 100),
        ("0x10", 100),
        ("1_0", 100),
        ("٣", 100),
        ("ten", 100),
        ("1\x00", 100),
    ],
)
def test_a_limit_that_is_no_positive_integer_means_the_default_and_a_large_one_is_cut(
    text: str | None, limit: int
) -> None:
    assert page_limit(text) == limit


@given(st.text() | st.integers().map(str))
def test_any_limit_gives_a_page_of_an_allowed_size(text: str) -> None:
    assert 1 <= page_limit(text) <= MAX_PAGE_ITEMS


def test_a_number_of_many_digits_is_not_computed() -> None:
    assert page_limit("9" * 1_000_000) == DEFAULT_PAGE_ITEMS


@pytest.mark.parametrize(
    ("page", "key"),
    [
        (MessagePage((), PageInfo()), "messages"),
        (RoomPage((), PageInfo()), "rooms"),
        (ThreadPage((), PageInfo()), "threads"),
        (DirectPage((), PageInfo()), "dms"),
        (AgentPage((), PageInfo()), "agents"),
    ],
)
def test_an_empty_page_is_an_empty_list_and_not_null(page: object, key: str) -> None:
    assert encode(page) == f'{{"{key}":[],"page":{{"has_more":false}}}}'.encode()


def test_a_page_names_its_neighbours_only_if_it_has_some() -> None:
    assert encode(PageInfo(has_more=True, next_after="m9")) == b'{"has_more":true,"next_after":"m9"}'
