import subprocess
import sys

import pytest

from moltnet.client.errors import ServerAnswered, ServerMisbehaved, ServerUnreachable, one_line


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_trouble_that_passes_is_worth_repeating(status: int) -> None:
    assert ServerAnswered("s", status).worth_repeating


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501, 505])
def test_a_refusal_is_not_worth_repeating(status: int) -> None:
    assert not ServerAnswered("s", status).worth_repeating


def test_texts_begin_with_the_server() -> None:
    assert str(ServerUnreachable("http://s", "refused")) == "http://s: refused"
    assert str(ServerMisbehaved("http://s", "odd")) == "http://s: odd"
    assert str(ServerAnswered("http://s", 418)) == "http://s: answered 418"


def test_text_of_a_peer_fits_a_line() -> None:
    assert one_line("a\r\nb\x1b[2Jc\u202ed") == "a  b [2Jc d"
    assert len(one_line("x" * 100_000)) < 600


@pytest.mark.slow
def test_errors_load_no_network_library() -> None:
    code = "import sys, moltnet.client.errors; print(sorted({'trio', 'h11', 'ssl', 'socket'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
