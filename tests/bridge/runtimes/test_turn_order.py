"""Turns of one session, one after another."""

import pytest
import trio
import trio.testing

from bridge.runtimes.turn_order import TurnOrder


async def test_turns_of_one_session_wait_for_each_other_and_others_do_not() -> None:
    order, go_on = TurnOrder(), trio.Event()
    began: list[str] = []

    async def turn(name: str, session: str) -> None:
        async with order.only_turn(session):
            began.append(name)
            await go_on.wait()

    async with trio.open_nursery() as nursery:
        for name, session in (("first", "a"), ("second", "a"), ("other", "b")):
            nursery.start_soon(turn, name, session)
            await trio.testing.wait_all_tasks_blocked()
        assert began == ["first", "other"]
        go_on.set()
    assert began == ["first", "other", "second"]


async def test_a_failed_turn_frees_its_session() -> None:
    order = TurnOrder()
    with pytest.raises(ValueError, match="broken"):
        async with order.only_turn("a"):
            raise ValueError("broken")
    async with order.only_turn("a"):
        pass


async def test_a_session_in_which_nothing_is_done_is_not_remembered() -> None:
    order, waits = TurnOrder(), trio.Event()

    async def turn() -> None:
        async with order.only_turn("a"):
            await waits.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        nursery.start_soon(turn)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not order._turns
