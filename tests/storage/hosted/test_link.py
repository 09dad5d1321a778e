"""Calls and words between two processes, over streams in memory."""

import pytest
import trio
from trio.testing import memory_stream_pair

from moltnet.storage import limits
from moltnet.storage.hosted.link import Link, LinkLost, word


def links() -> tuple[Link, Link]:
    ours, theirs = memory_stream_pair()
    return Link(ours), Link(theirs)


async def test_words_and_calls_arrive_in_the_order_in_which_they_were_given() -> None:
    caller, called = links()
    heard: list[object] = []

    async def answer(value: int) -> list[object]:
        return [*heard, value]

    called.hears = {"say": heard.append}
    called.answers = {"ask": answer}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        nursery.start_soon(called.run)
        caller.tell("say", 1)
        caller.tell_packed(word("say", "two"))
        assert await caller.call("ask", 3) == [1, "two", 3]
        nursery.cancel_scope.cancel()


async def test_what_a_call_raises_is_raised_again_here() -> None:
    caller, called = links()

    async def fail() -> None:
        raise KeyError("no such thing")

    called.answers = {"ask": fail}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        nursery.start_soon(called.run)
        with pytest.raises(KeyError, match="no such thing"):
            await caller.call("ask")
        nursery.cancel_scope.cancel()


async def test_a_call_that_is_cancelled_is_cancelled_there() -> None:
    caller, called = links()
    began, ended = trio.Event(), trio.Event()

    async def wait() -> None:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    called.answers = {"wait": wait}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        nursery.start_soon(called.run)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as calling:
                calling.start_soon(caller.call, "wait")
                await began.wait()
                scope.cancel()
        await ended.wait()
        nursery.cancel_scope.cancel()


async def test_who_waits_for_a_process_that_is_gone_hears_of_it_and_what_it_asked_for_ends() -> None:
    caller, called = links()
    ended = trio.Event()
    lost: list[str] = []

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async def ask() -> None:
        with pytest.raises(LinkLost) as caught:
            await caller.call("wait")
        lost.append(str(caught.value))

    called.answers = {"wait": wait}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(called.run)
        async with trio.open_nursery() as asking:
            nursery.start_soon(caller.run)
            asking.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(called.stream)
        await ended.wait()
    assert lost == ["the other process is gone"]
    with pytest.raises(LinkLost):
        await caller.call("wait")
    caller.tell("say", 1)


async def test_who_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LINK_BYTES", 10_000)
    caller, _ = links()  # nobody reads at the other end
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        for _ in range(20):
            caller.tell("say", b"x" * 1000)
    with pytest.raises(LinkLost):
        await caller.call("ask")
