"""Every target of the fuzzers with Hypothesis: seconds here, as long as wanted with ``make fuzz``."""

import importlib
import os
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.strategies import inputs
from fuzz.targets import NAMES, target

EXAMPLES: Final = int(os.environ.get("MOLTNET_FUZZ_EXAMPLES", "60"))


@pytest.mark.timeout(60 + EXAMPLES)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_input_breaks_the_invariant(name: str, data: st.DataObject) -> None:
    each = target(name)
    each.check(data.draw(inputs(each)))  # raises


def test_inputs_are_near_to_the_stored_ones_and_reach_different_outcomes() -> None:
    each, kinds = target("bodies"), set()

    @settings(max_examples=200, database=None, derandomize=True)
    @given(inputs(each))
    def look(data: bytes) -> None:
        kinds.add(each.check(data))

    look()
    assert len(kinds) > 20
    assert any(kind[-1] == "a value" for kind in kinds if isinstance(kind, tuple))


@pytest.mark.parametrize("name", NAMES)
def test_every_target_begins_with_its_invariant(name: str) -> None:
    text = importlib.import_module(f"fuzz.{name}").__doc__
    assert text is not None
    assert text.startswith("Invariant: ")
