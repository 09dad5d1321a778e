"""What the fuzzers have found, each as a test of its own that says what was wrong."""

import orjson
import pytest

from bridge.process import Ending
from bridge.runtimes.claude_code import ClaudeDialect
from bridge.runtimes.openclaw.history import RunState, run_state
from bridge.runtimes.runtime import TurnFailed
from moltnet.protocol.identity import canonical_member, parse_address
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.pages import page_limit
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import open_test_server

LOCAL = NetworkId("net_a")


@pytest.mark.parametrize("header", [b"Host: .", b"Host: " + b"a" * 70, b"Host: lab.test\r\nCookie: \xa2=1"])
async def test_a_host_or_a_cookie_that_is_no_text_is_no_crash(header: bytes) -> None:
    """Both left the application as an exception: an error in the log, for a request of anybody."""
    async with open_test_server() as server, open_connection(server.url) as connection:
        await connection.stream.send_all(b"GET /v1/rooms HTTP/1.1\r\n" + header + b"\r\n\r\n")
        connection.expect_answer()
        assert (await connection.receive_answer()).status < 500


@pytest.mark.parametrize("blank", ["\x1c", "\x1e", "\x85", "\u2003"])
async def test_a_limit_with_any_blank_around_it_is_a_number(blank: str) -> None:
    """Which characters are blank, ``strip`` and ``int`` see differently; the answer was a 500."""
    assert page_limit(f"{blank}3{blank}") == 3
    async with open_test_server() as server:
        answer = await http_client(server).get("/v1/rooms?limit=3%1e")
        assert answer.status == 200


@pytest.mark.parametrize("text", ["net_a:h:l", "molt://net_a/agents/h:l", "molt://n:x/agents/l", "net_a:x:"])
def test_the_short_form_of_an_address_names_no_other_agent(text: str) -> None:
    """`net_a:h:l` was shortened to `h:l`, which is agent `l` of network `h`."""
    short = canonical_member(text, LOCAL)
    assert parse_address(short, LOCAL) == parse_address(text, LOCAL)
    assert canonical_member(short, LOCAL) == short


@pytest.mark.parametrize("odd", [[], {}, [["error"]]])
def test_a_stop_reason_of_openclaw_may_be_anything(odd: object) -> None:
    """What has no hash was looked for in a set."""
    entries = [{"idempotencyKey": "r:user"}, {"role": "assistant", "stopReason": odd}]
    assert run_state({"messages": entries}, "r") is RunState.FINISHED


@pytest.mark.parametrize("odd", [[], {}, [["error_max_turns"]]])
def test_a_subtype_of_claude_may_be_anything(odd: object) -> None:
    transcript = ClaudeDialect(("claude",)).begin().transcript
    transcript.read(orjson.dumps({"type": "result", "subtype": odd, "is_error": True, "result": "no"}))
    with pytest.raises(TurnFailed):
        transcript.judge(Ending(1, "", output_truncated=False, errors=""))
