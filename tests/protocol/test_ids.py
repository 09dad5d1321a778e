"""Identifiers: which are valid, how new ones look, and those that are made from others."""

import hashlib
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.protocol.ids import (
    accepted_request_id,
    event_id_of_message,
    gap_event_id,
    id_problem,
    is_id,
    new_actor_uid,
    new_event_id,
    new_message_id,
    new_request_id,
    new_uuid,
)
from moltnet.protocol.limits import MAX_ID_CHARACTERS

TOO_LONG = "must be 128 characters or fewer"
WRONG = "must start with a letter or digit and hold only letters, digits and the characters . _ : -"


@pytest.mark.parametrize("text", ["a", "Z", "0", "a.b_c:d-e", "net:agent", "a" * MAX_ID_CHARACTERS, "a-", "a:", "a.."])
def test_a_valid_id(text: str) -> None:
    assert id_problem(text) is None
    assert is_id(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", WRONG),
        (" ", WRONG),
        (" a", WRONG),
        ("a ", WRONG),
        ("a\n", WRONG),
        ("a\x00", WRONG),
        ("a/b", WRONG),
        ("-a", WRONG),
        (".a", WRONG),
        (":a", WRONG),
        ("_a", WRONG),
        ("ä", WRONG),
        ("a\u0301", WRONG),
        ("\uff41", WRONG),
        ("٣", WRONG),
        ("molt://n/agents/a", WRONG),
        ("a" * (MAX_ID_CHARACTERS + 1), TOO_LONG),
        ("/" * (MAX_ID_CHARACTERS + 1), TOO_LONG),
    ],
)
def test_what_is_no_id_has_a_reason(text: str, problem: str) -> None:
    assert id_problem(text) == problem
    assert not is_id(text)


@given(st.text())
def test_an_id_is_what_the_pattern_of_the_protocol_matches(text: str) -> None:
    assert is_id(text) == (re.fullmatch("[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", text) is not None)


@pytest.mark.parametrize(
    ("message_id", "event_id"),
    [
        ("m1", "evt_ca0df2c9-5aa1-44c1-90ff-2ff3c8f967fd"),
        ("r1", "evt_82f3e9c6-95dc-4b8d-9b11-818d5701919e"),
    ],
)
def test_the_event_id_of_a_message_is_the_one_that_other_servers_make(message_id: str, event_id: str) -> None:
    assert event_id_of_message(message_id) == event_id


@given(st.text())
def test_the_event_id_of_a_message_is_a_uuid_from_its_hash(message_id: str) -> None:
    octets = bytearray(hashlib.sha256(message_id.encode()).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    assert event_id_of_message(message_id) == f"evt_{uuid.UUID(bytes=bytes(octets))}"


def test_the_id_of_a_replay_gap_is_the_hash_of_the_cursor() -> None:
    made = gap_event_id("evt_lost")
    assert made == f"evt_gap_{hashlib.sha256(b'evt_lost').hexdigest()}"
    assert is_id(made)


@pytest.mark.parametrize(
    ("make", "prefix"),
    [(new_message_id, "msg_"), (new_event_id, "evt_"), (new_actor_uid, "actor_"), (new_uuid, "")],
)
def test_a_new_id_is_its_prefix_and_a_random_uuid(make: Callable[[], str], prefix: str) -> None:
    made = {make() for _ in range(1000)}
    assert len(made) == 1000
    for each in made:
        assert is_id(each)
        parsed = uuid.UUID(each.removeprefix(prefix))
        assert f"{prefix}{parsed}" == each
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_the_digits_of_new_ids_are_evenly_spread() -> None:
    digits = "".join(new_uuid().replace("-", "") for _ in range(2000))
    for digit in "0123456789abcdef":
        # 60,000 random digits, 3,750 of each; the version's 4 comes 2,000 times more.
        assert 3000 < digits.count(digit) < 6500


def test_a_new_request_id_may_be_echoed() -> None:
    made = new_request_id()
    assert re.fullmatch("req_[0-9a-f]{16}", made)
    assert accepted_request_id(made) == made


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        (" trace-1 ", "trace-1"),
        ("-.:_", "-.:_"),
        ("a" * 128, "a" * 128),
        ("a" * 129, None),
        ("a b", None),
        ("a\r\nSet-Cookie: x", None),
        ("ä", None),
    ],
)
def test_a_request_id_of_a_client_is_echoed_only_if_it_is_harmless(text: str | None, accepted: str | None) -> None:
    assert accepted_request_id(text) == accepted


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_makes_other_ids_than_its_parent() -> None:
    program = (
        "import os\n"
        "from moltnet.protocol.ids import new_uuid\n"
        "new_uuid()\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "os.write(1, new_uuid().encode() + b'\\n')\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert len(set(output.split())) == 2
