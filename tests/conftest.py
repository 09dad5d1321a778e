"""Rules for every test: a logged error fails it, and nothing it does to the process's logging outlives it."""

import logging
import os
from collections.abc import Iterator

import hypothesis
import pytest

from tests.expected_errors import ExpectedErrors

# No deadline: on a busy machine it would fail a test for being slow. In CI a run repeats exactly.
hypothesis.settings.register_profile("moltnet", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("moltnet")


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
