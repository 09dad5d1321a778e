"""quart-trio answers a group with its first leaf that has a handler and drops the others unlogged (style, trap 5)."""

import pytest

from moltnet.core.errors import NotFound
from moltnet.http.api import make_api
from moltnet.protocol.codec import DecodeError, Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError
from tests.expected_errors import ExpectedErrors
from tests.fakes.asgi_client import open_exchange
from tests.fakes.network import open_test_app

REFUSAL = NotFound(ErrorCode.UNKNOWN_ROOM, "unknown room")
BUG = ZeroDivisionError("a bug")


async def status_of(error: Exception) -> int:
    """How a handler that raises this is answered."""
    async with open_test_app() as app:
        quart = make_api(app)

        @quart.get("/boom")
        async def boom() -> str:
            raise error

        async with open_exchange(quart, "GET", "/boom") as exchange:
            return await exchange.receive_status()


@pytest.mark.parametrize(
    "group",
    [
        ExceptionGroup("", [REFUSAL, BUG]),
        ExceptionGroup("", [BUG, REFUSAL]),
        ExceptionGroup("", [ExceptionGroup("", [REFUSAL]), ExceptionGroup("", [REFUSAL, BUG])]),
        ExceptionGroup("", [BUG]),
    ],
)
async def test_a_group_with_a_bug_is_a_logged_500(group: Exception, expected_errors: ExpectedErrors) -> None:
    assert await status_of(group) == 500
    record = expected_errors.take("request crashed")
    assert record.exc_info is not None
    assert record.exc_info[1] is group  # whole, with everything beside the bug


@pytest.mark.parametrize(
    ("group", "status"),
    [
        (ExceptionGroup("", [REFUSAL]), 404),
        (ExceptionGroup("", [ExceptionGroup("", [REFUSAL, REFUSAL])]), 404),
        (ExceptionGroup("", [DecodeError(Problem("$", "is not JSON"))]), 400),
        (ExceptionGroup("", [StorageError("no disk"), REFUSAL]), 503),
    ],
)
async def test_a_group_of_refusals_is_answered_with_the_first(group: Exception, status: int) -> None:
    assert await status_of(group) == status


async def test_a_bug_alone_is_a_logged_500_whose_answer_tells_nothing(expected_errors: ExpectedErrors) -> None:
    assert await status_of(BUG) == 500
    expected_errors.take("request crashed")
