import pytest

from moltnet.auth.reserved import ReservedNames

NAMES = ReservedNames(["admin", "moltnet-*", "op?", "v1.0"])


@pytest.mark.parametrize("name", ["admin", "Admin", "moltnet-", "moltnet-help", "MOLTNET-x", "ops", "opx", "v1.0"])
def test_a_name_that_fits_is_reserved(name: str) -> None:
    assert name in NAMES


@pytest.mark.parametrize("name", ["", "administrator", "badmin", "moltnet", "op", "opss", "v1x0", "admin\n"])
def test_another_name_is_not(name: str) -> None:
    assert name not in NAMES


def test_without_patterns_nothing_is_reserved() -> None:
    assert "admin" not in ReservedNames()
