"""How many files a node may have open."""

import resource
from collections.abc import Iterator

import pytest

from node.descriptors import allow_many_descriptors


@pytest.fixture
def few() -> Iterator[int]:
    """A low soft limit; the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_node_may_open_as_many_files_as_the_system_lets_it(few: int) -> None:
    assert allow_many_descriptors() == few
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few, few)
