"""The rule that a logged error fails its test, tried on small test files that break or keep it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.expected_errors import ExpectedErrors

pytest_plugins = ["pytester"]

OUTER_CONFTEST = Path(__file__).parent / "conftest.py"


@pytest.fixture
def under_our_rules(pytester: pytest.Pytester, expected_errors: ExpectedErrors) -> Iterator[pytest.Pytester]:
    pytester.makeconftest(OUTER_CONFTEST.read_text())
    yield pytester
    # The inner tests log in this process, so their errors arrived here as well.
    while expected_errors.describe():
        expected_errors.take("")


def test_a_logged_error_fails_the_test(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        from moltnet.log import get_logger

        def test_logs():
            try:
                raise OSError("disk full")
            except OSError:
                get_logger("journal").exception("commit failed", batch=3)
    """)
    result = under_our_rules.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR moltnet.journal: commit failed batch=3 (OSError: disk full)*"])


def test_an_error_of_another_library_fails_the_test_too(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        import logging

        def test_logs():
            logging.getLogger("asyncio").critical("never retrieved")
    """)
    under_our_rules.runpytest_inprocess().assert_outcomes(passed=1, errors=1)


def test_an_error_in_the_teardown_of_a_fixture_counts(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        import pytest
        from moltnet.log import get_logger

        @pytest.fixture
        def closing():
            yield
            get_logger("app").error("close failed")

        def test_uses_it(closing):
            pass
    """)
    under_our_rules.runpytest_inprocess().assert_outcomes(passed=1, errors=1)


def test_a_taken_error_and_a_warning_pass(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        from moltnet.log import get_logger

        def test_logs(expected_errors):
            get_logger("node").warning("attachment lost")
            get_logger("node").error("attachment failed", agent_id="alpha")
            assert expected_errors.take("failed").fields["agent_id"] == "alpha"
    """)
    under_our_rules.runpytest_inprocess().assert_outcomes(passed=1)


def test_one_take_excuses_one_error(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        from moltnet.log import get_logger

        def test_logs(expected_errors):
            for _ in range(2):
                get_logger("node").error("attachment failed")
            expected_errors.take("attachment failed")
    """)
    under_our_rules.runpytest_inprocess().assert_outcomes(passed=1, errors=1)


def test_taking_an_error_that_was_not_logged_fails(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        def test_expects(expected_errors):
            expected_errors.take("attachment failed")
    """)
    under_our_rules.runpytest_inprocess().assert_outcomes(failed=1)


def test_logging_set_up_by_one_test_is_gone_in_the_next(under_our_rules: pytest.Pytester) -> None:
    under_our_rules.makepyfile("""
        import logging
        from moltnet.log import configure

        def test_configures():
            configure(format="json", level="debug")
            assert logging.getLogger().level == logging.DEBUG

        def test_next():
            assert logging.getLogger().level == logging.WARNING
            assert "_ConfiguredHandler" not in {type(each).__name__ for each in logging.getLogger().handlers}
    """)
    under_our_rules.runpytest_inprocess().assert_outcomes(passed=2)
