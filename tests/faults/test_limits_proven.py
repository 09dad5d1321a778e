"""Every limit says what happens at it and names a test that proves it, and that test exists."""

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts.limits_page import SECTIONS, limits_of, proofs
from tests.docs.pages import ROOT


def every_limit() -> Iterator[tuple[str, str]]:
    for _, name in SECTIONS:
        module = importlib.import_module(name)
        assert module.__file__ is not None
        for limit in limits_of(Path(module.__file__).read_text(encoding="utf-8"), vars(module)):
            yield name, limit.name


@cache
def defined_in(file: str) -> frozenset[str]:
    """The tests that a file has."""
    path = ROOT / file
    if not path.exists():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = (node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def test_every_limit_has_a_proof_and_every_proof_a_limit() -> None:
    limits, proven = set(every_limit()), set(proofs())
    assert sorted(limits - proven) == [], "say in scripts/limit_proofs.txt what happens at these"
    assert sorted(proven - limits) == [], "there are no such limits"


@pytest.mark.parametrize("module", [name for _, name in SECTIONS])
def test_the_tests_that_prove_limits_exist(module: str) -> None:
    named = {(proof.file, proof.test) for (where, _), proof in proofs().items() if where == module}
    assert sorted((file, test) for file, test in named if test not in defined_in(file)) == []


def test_what_happens_is_said_in_a_few_words() -> None:
    for key, proof in proofs().items():
        assert 3 < len(proof.happens) < 100, key
        assert not proof.happens.endswith("."), key
