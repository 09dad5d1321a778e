"""Error codes and the two kinds of protocol errors."""

import re

from moltnet.protocol.errors import ErrorCode, ProtocolError, ProtocolMisuse, ProtocolViolation


def test_a_code_is_the_lower_case_of_its_name() -> None:
    for code in ErrorCode:
        assert code.value == code.name.lower()
        assert re.fullmatch("[a-z]+(_[a-z]+)*", code)


def test_a_violation_says_what_to_answer_and_how_to_close() -> None:
    violation = ProtocolViolation("no")
    assert (violation.answer, violation.close_code, str(violation)) == ("no", 1008, "no")
    assert ProtocolViolation("slow down", close_code=1013).close_code == 1013


def test_a_fault_of_the_peer_and_one_of_ours_are_told_apart() -> None:
    assert issubclass(ProtocolViolation, ProtocolError)
    assert issubclass(ProtocolMisuse, ProtocolError)
    assert not issubclass(ProtocolViolation, ProtocolMisuse)
    assert not issubclass(ProtocolMisuse, ProtocolViolation)
