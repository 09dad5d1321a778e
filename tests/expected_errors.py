"""The errors that a test has logged and not asked for; `tests/conftest.py` fails the test for what is left."""

import logging

import attrs

from moltnet.log import describe_error


@attrs.define(eq=False)
class ExpectedErrors:
    """The records of level ERROR or worse that reached the root logger in this test and were not taken yet."""

    _records: list[logging.LogRecord] = attrs.field(factory=list)

    def take(self, text: str) -> logging.LogRecord:
        """Remove and return the oldest record whose event contains `text`; its values are in `record.fields`.

        Raises:
            AssertionError: none was logged.
        """
        for record in self._records:
            if text in record.getMessage():
                self._records.remove(record)
                return record
        raise AssertionError(f"no error with {text!r} was logged, only: {self.describe() or 'none'}")

    def describe(self) -> str:
        """The records that are left, a line each; empty if there are none."""
        return "\n".join(_describe(record) for record in self._records)

    def watch(self) -> logging.Handler:
        """A handler that adds what it is given to these records."""
        return _Collector(self._records)


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(level=logging.ERROR)
        self._collected = records

    def emit(self, record: logging.LogRecord) -> None:
        self._collected.append(record)


def _describe(record: logging.LogRecord) -> str:
    values = "".join(f" {key}={value!r}" for key, value in getattr(record, "fields", {}).items())
    exception = record.exc_info[1] if record.exc_info else None
    cause = f" ({describe_error(exception)})" if exception is not None else ""
    return f"{record.levelname} {record.name}: {record.getMessage()}{values}{cause}"
