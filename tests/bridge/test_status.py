"""The status of an attachment: its state, since when, until when; and each trouble in the log once."""

import logging

import attrs
import pytest

from bridge.status import AttachmentState, AttachmentStatus
from tests.expected_errors import ExpectedErrors


@attrs.define
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_status_says_what_an_attachment_does_since_when_and_until_when(expected_errors: ExpectedErrors) -> None:
    status = AttachmentStatus("alpha", "net", clock := Clock())
    assert (status.state, status.since) == (AttachmentState.CONNECTING, None)
    status.attached()
    clock.now = 110.0
    status.backing_off("closed with 1012", 2.5)
    assert (status.state, status.since, status.retry_at) == (AttachmentState.BACKING_OFF, 110.0, 112.5)
    clock.now = 112.5
    status.connecting()
    assert (status.state, status.since, status.retry_at) == (AttachmentState.CONNECTING, 112.5, None)
    assert status.last_error == "closed with 1012"
    status.parked("invalid token", 300.0)
    assert (status.state, status.retry_at, status.last_error) == (AttachmentState.PARKED, 412.5, "invalid token")
    fields = vars(expected_errors.take("parked, someone has to change something"))["fields"]
    assert fields["then"] == "looked at again in 5 min; moltnet node reload tries now"


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


def test_the_same_trouble_is_a_warning_once_until_it_has_passed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    status = AttachmentStatus("alpha", "net", Clock())
    for _ in range(3):
        status.backing_off("refused", 1.0)
    assert levels(caplog) == ["WARNING", "DEBUG", "DEBUG"]
    caplog.clear()
    status.backing_off("name not known", 1.0)
    status.attached()
    status.backing_off("name not known", 1.0)
    assert levels(caplog) == ["WARNING", "INFO", "WARNING"]


def test_every_line_names_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status = AttachmentStatus("alpha", "net", Clock())
    for change in (status.attached, status.draining, status.stopped):
        change()
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    assert [(each["agent_id"], each["network_id"]) for each in fields] == [("alpha", "net")] * 3
