import pytest

from moltnet.auth.claims import Claims
from moltnet.config.settings import Scope
from tests.fakes.credentials import CALLERS

# Who is it? → holds which scopes, sees everything, may write as an administrator, may act as alpha, as beta
ALL = "observe write admin attach pair"
TABLE = [
    ("nobody asked", ALL, True, False, True, True),
    ("anonymous", "", False, False, True, True),
    ("agent alpha", "write attach", False, False, True, False),
    ("observe", "observe", True, False, True, True),
    ("write", "write", False, False, True, True),
    ("write for alpha", "write", False, False, True, False),
    ("attach for alpha", "write attach", False, False, True, False),
    ("pair", "pair", False, False, True, True),
    ("admin", "admin", True, False, True, True),
    ("admin write", "admin write", True, True, True, True),
]


@pytest.mark.parametrize(("caller", "scopes", "observes", "writes_as_admin", "as_alpha", "as_beta"), TABLE)
def test_what_a_credential_claims(
    caller: str, scopes: str, observes: bool, writes_as_admin: bool, as_alpha: bool, as_beta: bool
) -> None:
    claims: Claims = CALLERS[caller]
    assert [scope for scope in Scope if claims.has(scope)] == [scope for scope in Scope if scope in scopes.split()]
    assert claims.observes is observes
    assert claims.may_write_as_admin is writes_as_admin
    assert (claims.may_act_as("alpha"), claims.may_act_as("beta")) == (as_alpha, as_beta)


def test_no_scope_implies_another() -> None:
    assert not CALLERS["admin"].has(Scope.WRITE, Scope.ATTACH, Scope.PAIR, Scope.OBSERVE)
    assert CALLERS["admin"].has(Scope.WRITE, Scope.ADMIN)
