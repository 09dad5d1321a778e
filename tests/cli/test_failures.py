import pytest

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.failures import explain
from moltnet.client.errors import (
    AnswerTooLarge,
    BadServerAddress,
    BadToken,
    RequestTooLarge,
    ServerAnswered,
    ServerMisbehaved,
    ServerUnreachable,
)
from moltnet.config.client import NoSuchAttachment
from moltnet.config.problems import ConfigError, Problem
from moltnet.config.secrets import TokenUnavailable
from moltnet.protocol.errors import ErrorCode


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [
        (CommandFailed(ExitCode.CONFLICT, "taken"), 5, "taken"),
        (ConfigError("Moltnet", Problem("$.rooms", "is odd")), 2, "Moltnet: $.rooms: is odd"),
        (NoSuchAttachment("none"), 2, "none"),
        (BadServerAddress("no URL"), 2, "no URL"),
        (BadToken("no token"), 2, "no token"),
        (TokenUnavailable("no file"), 2, "no file"),
        (RequestTooLarge("s", 2, 1), 2, "s: the message takes 2 bytes, 1 are allowed; send it in parts"),
        (ServerAnswered("s", 400), 2, "s: answered 400; check what was given; --help shows examples"),
        (ServerAnswered("s", 401), 3, "s: answered 401; check the token of this attachment"),
        (
            ServerAnswered("s", 403, code="missing_scope"),
            3,
            "s: answered 403; ask the operator for a token with that scope",
        ),
        (ServerAnswered("s", 404), 4, "s: answered 404; check the id and the address; moltnet doctor looks at both"),
        (ServerAnswered("s", 404, code="unknown_room"), 4, "s: answered 404; moltnet conversations lists yours"),
        (ServerAnswered("s", 409), 5, "s: answered 409; look what is there, and choose another name"),
        (ServerAnswered("s", 413), 2, "s: answered 413; say it in parts"),
        (
            ServerAnswered("s", 422, message="bad"),
            2,
            "s: answered 422: bad; check what was given; --help shows examples",
        ),
        (ServerAnswered("s", 429), 7, "s: answered 429; wait a little, then try again"),
        (ServerAnswered("s", 429, retry_after_seconds=90.0), 7, "s: answered 429; try again in 90 s"),
        (
            ServerAnswered("s", 500),
            7,
            "s: answered 500; its operator finds the reason in the server's log, by the request",
        ),
        (ServerUnreachable("s", "refused"), 6, "s: refused; is the server running, and is its address right?"),
        (ServerMisbehaved("s", "odd"), 7, "s: odd"),
        (AnswerTooLarge("s", 5), 7, "s: the answer is larger than 5 bytes; ask for less at once"),
        (PermissionError(13, "Permission denied", "/x"), 1, "[Errno 13] Permission denied: '/x'"),
    ],
)
def test_every_expected_error_has_an_exit_code_and_a_line(error: Exception, exit_code: int, text: str) -> None:
    failure = explain(error)
    assert (failure.exit_code, failure.text) == (exit_code, text)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_refusal_of_a_server_says_what_to_do_next(code: ErrorCode) -> None:
    """Of the code alone: which status it comes with says less."""
    failure = explain(ServerAnswered("s", 418, code=code, message="the server's words"))
    assert failure.text.startswith("s: answered 418: the server's words; ")


def test_a_lost_request_may_have_been_carried_out() -> None:
    assert "may have been carried out" in explain(ServerUnreachable("s", "cut", request_sent=True)).text


def test_a_group_of_expected_errors_names_each_once() -> None:
    group = ExceptionGroup("", [CommandFailed(ExitCode.AUTH, "a"), ExceptionGroup("", [BadToken("b"), BadToken("b")])])
    failure = explain(group)
    assert (failure.exit_code, failure.text) == (3, "a\nb")


def test_a_bug_among_expected_errors_is_not_hidden() -> None:
    failure = explain(ExceptionGroup("", [CommandFailed(ExitCode.AUTH, "a"), ZeroDivisionError("bug")]))
    assert failure.exit_code == 1
    assert "ZeroDivisionError: bug" in failure.text
