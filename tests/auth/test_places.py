"""Places: how many there may be at once, for one and for all."""

import pytest

from moltnet.auth.places import NoPlace, Places


def test_one_caller_may_hold_its_own_and_all_together_theirs() -> None:
    places = Places(total=3, per_key=2)
    places.take("a")
    places.take("a")
    with pytest.raises(NoPlace) as refused:
        places.take("a")
    assert not refused.value.is_shared
    places.take("b")
    with pytest.raises(NoPlace) as refused:
        places.take("c")
    assert refused.value.is_shared
    assert (len(places), places.taken_by("a"), places.taken_by("c")) == (3, 2, 0)


def test_a_place_that_is_left_is_free_again_and_nobody_is_remembered() -> None:
    places = Places(total=1, per_key=1)
    for _ in range(3):
        places.take("a")
        places.leave("a")
    assert len(places) == 0
    assert places._taken_by == {}


def test_nobody_in_particular_is_bound_by_the_total_alone() -> None:
    places = Places(total=3, per_key=1)
    for _ in range(3):
        places.take("")
    with pytest.raises(NoPlace):
        places.take("")


def test_without_limits_there_is_always_a_place() -> None:
    places = Places()
    for _ in range(1000):
        places.take("a")
    assert len(places) == 1000


def test_a_limit_that_is_lowered_ends_nothing_and_lets_nobody_in() -> None:
    places = Places(total=5)
    for _ in range(5):
        places.take("a")
    places.total = 2
    for _ in range(3):
        places.leave("a")
        with pytest.raises(NoPlace):
            places.check("b")
    places.leave("a")
    places.take("b")
