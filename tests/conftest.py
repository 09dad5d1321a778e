"""Rules for every test: a logged error fails it, and nothing it does to the process's logging outlives it."""

import logging
import os
from collections.abc import Iterator
from typing import NoReturn

import hypothesis
import pytest

from tests.expected_errors import ExpectedErrors
from tests.fakes.postgres import postgres_database, postgres_dsn, postgres_server
from tests.fakes.serving_paths import either_path

# Here, so that all tests of a run share one server of PostgreSQL: imported elsewhere they would be other fixtures.
__all__ = ["either_path", "postgres_database", "postgres_dsn", "postgres_server"]

_SEARCH = (hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate)
# Promises of stores are tests too, and several directories use them.
pytest.register_assert_rewrite("tests.contracts")

# No deadline: on a busy machine it would fail a test for being slow. In CI a run repeats exactly. A failing example is
# made smaller on request only: with servers and disks behind it that takes five minutes in which nothing seems to move.
hypothesis.settings.register_profile(
    "moltnet",
    deadline=None,
    derandomize="CI" in os.environ,
    phases=tuple(hypothesis.Phase) if "MOLTNET_TEST_SHRINK" in os.environ else _SEARCH,
)
hypothesis.settings.load_profile("moltnet")


# Each starts an OpenClaw gateway, which takes longer than all of its tests.
_FIRST = ("test_real_gateway.py", "test_chain.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: of several processes one runs all of it, and so starts each gateway once."""
    items.sort(key=lambda item: item.path.name not in _FIRST)


@pytest.fixture(autouse=True)
def expected_errors() -> Iterator[ExpectedErrors]:
    """The errors logged so far: `expected_errors.take("part of the text")` each one that the test is about.

    Any other record of level ERROR or worse fails the test. Being autouse, this fixture is set up before the test's own
    and torn down after them, so their errors count too.
    """
    errors = ExpectedErrors()
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    watching = errors.watch()
    root.addHandler(watching)
    yield errors
    for handler in [each for each in root.handlers if each is watching or each not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    if unexpected := errors.describe():
        pytest.fail(f"errors were logged that the test does not expect:\n{unexpected}", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def no_url_builders() -> Iterator[None]:
    """Spare each server of a test most of what it takes to open one.

    For every route Werkzeug compiles code that would build URLs of it. We build none; a test that did would fail.
    """

    def compile_nothing(_rule: object, append_unknown: bool = True) -> object:
        return _build_no_url

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("werkzeug.routing.rules.Rule._compile_builder", compile_nothing)
        yield


def _build_no_url(*_args: object, **_values: object) -> NoReturn:
    raise AssertionError("tests do without what builds URLs of routes")
