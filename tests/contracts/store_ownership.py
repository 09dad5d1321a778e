"""What every store promises of work that must not be done twice at the same time."""

import pytest
import trio
import trio.testing

from moltnet.storage.store import Store


class OwnershipContract:
    async def test_a_name_is_owned_by_one_task_at_a_time(self, store: Store) -> None:
        inside, most = 0, 0

        async def work(_number: int) -> None:
            nonlocal inside, most
            async with store.owned("relay"):
                inside += 1
                most = max(most, inside)
                await trio.testing.wait_all_tasks_blocked()
                inside -= 1

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(work, number)
        assert most == 1

    async def test_names_have_nothing_to_do_with_each_other(self, store: Store) -> None:
        with trio.fail_after(30):
            async with store.owned("one"), store.owned("other"), store.owned("Ünïcode, ' and \\"):
                pass

    async def test_who_gives_up_waiting_leaves_nothing_behind(self, store: Store) -> None:
        with trio.fail_after(30):
            async with store.owned("relay"), trio.open_nursery() as nursery:

                @nursery.start_soon
                async def wait() -> None:
                    async with store.owned("relay"):
                        raise AssertionError("it is owned already")

                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            async with store.owned("relay"):
                pass

    async def test_a_block_that_fails_lets_go(self, store: Store) -> None:
        with trio.fail_after(30):
            with pytest.raises(ZeroDivisionError):
                async with store.owned("relay"):
                    raise ZeroDivisionError
            async with store.owned("relay"):
                pass
