"""Attacks that outlast a restart are tried on every kind of store."""

from pathlib import Path

import pytest

from tests.fakes.homes import KINDS, Home, home_of


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return home_of(request.param, request, tmp_path)
