"""Timestamps as they stand on the wire."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.protocol.times import format_timestamp, utc_now


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "2026-03-04T05:06:07Z"),
        (datetime(2026, 3, 4, 5, 6, 7, 100_000, tzinfo=UTC), "2026-03-04T05:06:07.1Z"),
        (datetime(2026, 3, 4, 5, 6, 7, 120_000, tzinfo=UTC), "2026-03-04T05:06:07.12Z"),
        (datetime(2026, 3, 4, 5, 6, 7, 1, tzinfo=UTC), "2026-03-04T05:06:07.000001Z"),
        (datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2))), "2026-03-04T03:06:07Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_moment_is_written_in_utc_without_zeros_at_the_end(moment: datetime, text: str) -> None:
    assert format_timestamp(moment) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_names_its_moment_exactly(moment: datetime) -> None:
    text = format_timestamp(moment)
    assert datetime.fromisoformat(text) == moment
    assert text.endswith("Z")
    assert not text.endswith((".Z", "0Z")) or "." not in text


def test_the_clock_knows_its_zone() -> None:
    assert utc_now().tzinfo is UTC
