import pytest
from trio.testing import MockClock


@pytest.fixture
def patient_clock() -> MockClock:
    """A clock that jumps to the next deadline, but only after 20 ms of real silence: bytes on their way through the
    kernel are no task, and a clock that jumps at once would overtake them."""
    return MockClock(autojump_threshold=0.02)
