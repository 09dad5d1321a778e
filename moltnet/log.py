"""Structured logs: a line is one event text with named values, for a terminal or as JSON, and holds no secret.

A logger is structlog over the standard library: records pass through `logging`, so that other handlers, and the logs of
other libraries, meet ours there. What to log is decided where it happens; metrics do not live here.
"""

import functools
import json
import logging
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final, Literal, TextIO

# For tracebacks that are never asked of it, structlog loads rich, if that is there: a tenth of a server's start.
_is_rich_loaded = "rich" in sys.modules
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None: an import of it fails
import structlog  # noqa: E402

if not _is_rich_loaded:
    del sys.modules["rich"]

LogFormat = Literal["console", "json"]

MASK: Final = "***"
MAX_VALUE_CHARS: Final = 2_000
"""One logged value. A runtime's whole output belongs in a file, not in a log line."""
MAX_TRACEBACK_CHARS: Final = 20_000
"""About 200 lines: a group of several tracebacks fits, a runaway recursion does not."""
MAX_DEPTH: Final = 6
"""Nesting of one logged value; what lies deeper is shown as text."""
MAX_ITEMS: Final = 100
"""Members of one logged list or mapping."""
MAX_NAMED_ERRORS: Final = 5
"""Members of an exception group that the `error` value names; the traceback has the rest."""

_ROOT_NAME: Final = "moltnet"
_RESERVED_KEYS: Final = frozenset({"time", "level", "component", "event", "exception"})

_SECRET_WORDS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "dsn",
        "passwd",
        "password",
        "secret",
        "secrets",
        "token",
        "tokens",
    }
)
_SECRET_PHRASES: Final = ("api_key", "private_key", "pairings_json")
# A key that ends so names a secret without holding it: token_id, password_file, token_env.
_HARMLESS_ENDINGS: Final = frozenset({"count", "env", "file", "id", "ids", "kind", "name", "path", "prefix", "seconds"})

# Rather a harmless word hidden after "bearer" than a short token shown.
_SECRET_VALUES: Final = (
    (re.compile(r"\b(Bearer|Basic)(\s+)[A-Za-z0-9_\-.~+/=]+", re.IGNORECASE), rf"\1\2{MASK}"),
    (re.compile(r"magt_v1_[A-Za-z0-9_\-.~+/=]+"), f"magt_v1_{MASK}"),
    (re.compile(r"(://)[^/\s@]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b((?:access_)?token|password|secret)=[^\s&;\"']+", re.IGNORECASE), rf"\1={MASK}"),
    (re.compile(r"(\"(?:access_)?(?:token|password|secret|dsn)\"\s*:\s*)\"[^\"]*\"", re.IGNORECASE), rf'\1"{MASK}"'),
)
# Whatever one of the patterns matches holds one of these. Almost no text does, and one search is cheaper than five.
_MAY_HOLD_A_SECRET: Final = re.compile(r"bearer|basic|magt_v1_|://|(?:token|password|secret|dsn)[\"=]", re.IGNORECASE)


def get_logger(component: str) -> structlog.stdlib.BoundLogger:
    """The logger of one part of the program, for example `get_logger("journal").info("committed", messages=12)`.

    Values bound with `structlog.contextvars` in a Trio task, or in one of its parents, are added to its lines. Usable
    before `configure`, then under the rules of `logging` alone: warnings and worse go to stderr. Writing to a stream
    that nobody reads blocks, as `logging` does everywhere.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"{_ROOT_NAME}.{component}"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            mask_secrets,
            _to_record,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


class LineLogger:
    """For the lines that there are thousands of each second: as ``get_logger``, in less than half of the time.

    They tell the same, masked in the same way. What it leaves out is to look for the place in the code.
    """

    def __init__(self, component: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT_NAME}.{component}")

    def log(self, level: int, event: str, fields: MutableMapping[str, Any]) -> None:
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        record = logging.LogRecord(logger.name, level, "", 0, event, (), None)
        record.fields = mask_secrets(None, "", structlog.contextvars.get_contextvars() | dict(fields))
        logger.handle(record)


def configure(*, format: LogFormat = "console", level: str = "info", stream: TextIO | None = None) -> None:
    """Send the logs of the whole process to `stream` (stderr unless given); a second call replaces the first.

    Handlers that others installed stay. Colours appear only on a terminal, and not if `NO_COLOR` is set.

    Raises:
        ValueError: the level or the format does not exist.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}")
    stream = stream if stream is not None else sys.stderr
    formatter: logging.Formatter
    if format == "json":
        formatter = JSONFormatter()
    elif format == "console":
        formatter = ConsoleFormatter(colours=stream.isatty() and "NO_COLOR" not in os.environ)
    else:
        raise ValueError(f"unknown log format {format!r}")
    handler = _ConfiguredHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for existing in [each for each in root.handlers if isinstance(each, _ConfiguredHandler)]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(number)
    # It tells of every frame at level debug, token and text included.
    logging.getLogger("trio-websocket").setLevel(max(number, logging.INFO))


class _ConfiguredHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure` owns, by type. It counts what it writes."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        level = record.levelname.lower()
        _written[level if level in _written else "other"] += 1


_written: Final = dict.fromkeys(("debug", "info", "warning", "error", "critical", "other"), 0)


def written_lines() -> Mapping[str, int]:
    """How many lines this process has logged, by level, since it began; `other` is for levels of libraries' own."""
    return dict(_written)


def mask_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that makes every value plain and bounded and hides what is, or looks like, a secret."""
    return {key: value if key == "exc_info" else _masked(key, value) for key, value in event.items()}


def mask_text(text: str) -> str:
    """`text` without what looks like a credential: agent tokens, Authorization values, passwords in URLs and bodies."""
    if not _MAY_HOLD_A_SECRET.search(text):
        return text
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text


def _masked(key: str, value: object, depth: int = 0) -> object:
    """`value` as str, int, float, bool, None, list or dict, without secrets and within the limits."""
    if type(value) is str and not _names_a_secret(key):  # most are, and the rest of this takes longer than the search
        return _clipped(mask_text(value), MAX_VALUE_CHARS)
    if value is None or isinstance(value, bool):
        return value
    if _names_a_secret(key):
        return MASK
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        members = list(value.items())[:MAX_ITEMS]
        return {str(name): _masked(str(name), member, depth + 1) for name, member in members}
    if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_masked("", member, depth + 1) for member in list(value)[:MAX_ITEMS]]
    return _clipped(mask_text(_as_text(value)), MAX_VALUE_CHARS)


@functools.lru_cache(maxsize=1024)  # nearly all keys stand in the program's text, so there are few
def _names_a_secret(key: str) -> bool:
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()) if word]
    if not words or words[-1] in _HARMLESS_ENDINGS:
        return False
    return not _SECRET_WORDS.isdisjoint(words) or any(phrase in "_".join(words) for phrase in _SECRET_PHRASES)


def _as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception as error:
        # A log line must not raise in the code that it reports on.
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _clipped(text: str, max_chars: int) -> str:
    """`text`, or its head and tail: in a traceback the last lines say most."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"


def _to_record(_logger: object, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """The last processor: text, exception and values become a standard record, the values as its attribute `fields`."""
    text = str(event.pop("event", ""))
    exc_info = event.pop("exc_info", None)
    return (text,), {"exc_info": exc_info, "extra": {"fields": dict(event)}}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The values of a record, with an `error` that names its exception; other libraries' records have no values."""
    fields: dict[str, object] = dict(getattr(record, "fields", {}))
    exception = record.exc_info[1] if record.exc_info else None
    if exception is not None:
        fields.setdefault("error", describe_error(exception))
    return fields


def _component(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{_ROOT_NAME}.")


def _text(record: logging.LogRecord) -> str:
    return _clipped(mask_text(record.getMessage()), MAX_VALUE_CHARS)


def describe_error(error: BaseException) -> str:
    """One line: type and text of the exception, or of the members of a group, at any depth. Masked."""
    leaves = list(leaves_of(error))
    named = [f"{type(leaf).__name__}: {_as_text(leaf)}".removesuffix(": ") for leaf in leaves[:MAX_NAMED_ERRORS]]
    if len(leaves) > MAX_NAMED_ERRORS:
        named.append(f"and {len(leaves) - MAX_NAMED_ERRORS} more")
    return _clipped(mask_text("; ".join(named)), MAX_VALUE_CHARS)


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, at any depth; of anything else, itself."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves_of(member)
    else:
        yield error


def _traceback(record: logging.LogRecord) -> str | None:
    """The traceback, a group as a tree; masked and bounded. No local variables: they hold what the mask cannot know."""
    if not record.exc_info or record.exc_info[1] is None:
        return None
    lines = traceback.TracebackException.from_exception(record.exc_info[1]).format()
    return _clipped(mask_text("".join(lines).rstrip("\n")), MAX_TRACEBACK_CHARS)


@functools.lru_cache(maxsize=2)  # one second has many lines
def _utc_text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, component, event, the values, and `exception` with the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """`record` as a line without its end. A value whose name is taken gets an underscore after it."""
        seconds, milliseconds = divmod(int(record.created * 1000), 1000)
        line: dict[str, object] = {
            "time": f"{_utc_text(seconds)}.{milliseconds:03}Z",
            "level": record.levelname.lower(),
            "component": _component(record),
            "event": _text(record),
        }
        for key, value in _fields(record).items():
            line[f"{key}_" if key in _RESERVED_KEYS else key] = value
        if (trace := _traceback(record)) is not None:
            line["exception"] = trace
        return json.dumps(line)


_DIM, _BRIGHT, _CYAN, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[0m"
_LEVEL_COLOURS: Final = {
    "DEBUG": _DIM,
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[31m",
}


class ConsoleFormatter(logging.Formatter):
    """Aligned columns for people: local time, level, component, event, then name=value; a traceback below, indented."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """`record` as one line, or several with a traceback. Nothing in it can move the cursor or change a colour."""
        columns = [
            self._paint(_DIM, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))),
            self._paint(_LEVEL_COLOURS.get(record.levelname, ""), f"{record.levelname:<8}"),
            self._paint(_DIM, f"{_printable(_component(record)):<16}"),
            self._paint(_BRIGHT, f"{_printable(_text(record)):<32}"),
            *(f"{self._paint(_CYAN, _printable(key))}={_quoted(value)}" for key, value in _fields(record).items()),
        ]
        return "\n".join([" ".join(columns).rstrip(), *_indented((_traceback(record) or "").splitlines())])

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours else text


def console_line(line: str, *, colours: bool) -> str:
    """What the format for people would have made of a line of the JSON format. Raises ``ValueError`` if it is none."""
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("a line of the log is a JSON object")
    time_text, level, component, event, trace = (
        str(values.pop(key, "")) for key in ("time", "level", "component", "event", "exception")
    )
    record = logging.LogRecord(component, logging.NOTSET, "", 0, event, (), None)
    record.levelname, record.created = level.upper(), datetime.fromisoformat(time_text).timestamp()
    record.fields = values
    return "\n".join([ConsoleFormatter(colours=colours).format(record), *_indented(trace.splitlines())])


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {_printable(line)}" for line in lines)


def _printable(text: str) -> str:
    """`text` with control and invisible characters written out: a message cannot forge lines or steer the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


_PLAIN_WORD: Final = re.compile(r"[^\s\"'=]+")


def _quoted(value: object) -> str:
    """A value as it stands if it is one plain word, otherwise in quotes."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and not _PLAIN_WORD.fullmatch(text):
        text = json.dumps(text, ensure_ascii=False)
    return _printable(text)
