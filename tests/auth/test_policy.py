from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.auth.claims import ANONYMOUS, UNCHECKED, CredentialKind
from moltnet.auth.policy import Authenticator, AuthPolicy
from moltnet.auth.tokens import InvalidCredential, StaticToken, TokenTable, agent_key, new_agent_token, token_digest
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.protocol.ids import AgentId

TOKENS = TokenTable((StaticToken("ops", token_digest("operator-value"), frozenset({Scope.OBSERVE})),))


def authenticator(mode: AuthMode, agents: dict[str, frozenset[AgentId]] | None = None) -> Authenticator:
    owned = agents or {}
    return Authenticator(AuthPolicy(mode), TOKENS, lambda key: owned.get(key, frozenset()))


@pytest.mark.parametrize("header", [None, "Bearer operator-value", "Bearer nonsense", "nonsense"])
def test_in_mode_none_nobody_is_asked(header: str | None) -> None:
    assert authenticator(AuthMode.NONE).authenticate(header) is UNCHECKED


@pytest.mark.parametrize("mode", [AuthMode.BEARER, AuthMode.OPEN])
class TestModesThatAsk:
    def test_no_credential_is_anonymous(self, mode: AuthMode) -> None:
        assert authenticator(mode).authenticate(None) is ANONYMOUS

    def test_a_static_token_has_its_claims(self, mode: AuthMode) -> None:
        claims = authenticator(mode).authenticate("Bearer operator-value")
        assert (claims.kind, claims.key, set(claims.scopes)) == (CredentialKind.STATIC, "token:ops", {Scope.OBSERVE})

    def test_an_agent_token_may_write_and_attach_as_its_agent_only(self, mode: AuthMode) -> None:
        token = new_agent_token()
        claims = authenticator(mode, {agent_key(token): frozenset({AgentId("alpha")})}).authenticate(f"Bearer {token}")
        assert (claims.kind, claims.key) == (CredentialKind.AGENT, agent_key(token))
        assert claims.scopes == {Scope.WRITE, Scope.ATTACH}
        assert claims.may_act_as("alpha")
        assert not claims.may_act_as("beta")

    @pytest.mark.parametrize("header", ["Bearer operator-valuE", "Bearer ", "nonsense", f"Bearer magt_v1_{'x' * 43}"])
    def test_an_invalid_credential_never_counts_as_none(self, mode: AuthMode, header: str) -> None:
        with pytest.raises(InvalidCredential) as caught:
            authenticator(mode).authenticate(header)
        assert "operator-valuE" not in str(caught.value)
        assert "magt_v1_" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "public_read", "anonymous_reads", "advertised"),
    [
        (AuthMode.NONE, False, False, False),
        (AuthMode.NONE, True, False, True),
        (AuthMode.BEARER, False, False, False),
        (AuthMode.BEARER, True, True, True),
        (AuthMode.OPEN, False, True, True),
        (AuthMode.OPEN, True, True, True),
    ],
)
def test_who_may_read_without_a_credential(
    mode: AuthMode, public_read: bool, anonymous_reads: bool, advertised: bool
) -> None:
    policy = AuthPolicy(mode, public_read=public_read)
    assert (policy.anonymous_reads, policy.advertised_public_read) == (anonymous_reads, advertised)


@pytest.mark.parametrize("registration", list(Registration))
def test_mode_open_means_open_registration(registration: Registration) -> None:
    assert AuthPolicy(AuthMode.OPEN, registration=registration).effective_registration is Registration.OPEN
    assert AuthPolicy(AuthMode.BEARER, registration=registration).effective_registration is registration


NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIGURED = ("operator-value", "rotated-value", "expired-value")


def rotating() -> Authenticator:
    """One token with two live values, one that has expired, one agent's own."""
    ops = StaticToken("ops", token_digest("operator-value"), frozenset({Scope.OBSERVE}))
    tokens = (
        ops,
        attrs.evolve(ops, digest=token_digest("rotated-value"), expires_at=NOW + timedelta(microseconds=1)),
        attrs.evolve(ops, id="old", digest=token_digest("expired-value"), expires_at=NOW),
    )
    return Authenticator(AuthPolicy(AuthMode.BEARER), TokenTable(tokens), lambda _: frozenset(), lambda: NOW)


def test_two_values_under_one_id_are_the_same_owner() -> None:
    first, second = (rotating().authenticate(f"Bearer {value}") for value in ("operator-value", "rotated-value"))
    assert first.key == second.key == "token:ops"
    assert first.digest != second.digest


def test_an_expired_token_is_refused_and_told_why() -> None:
    with pytest.raises(InvalidCredential, match="has expired"):
        rotating().authenticate("Bearer expired-value")


@given(
    st.text()
    | st.sampled_from(CONFIGURED).flatmap(lambda value: st.sampled_from([value[:-1], value + "x", value.upper()]))
)
def test_no_other_text_is_a_credential(text: str) -> None:
    if text.strip() in CONFIGURED:
        return
    with pytest.raises(InvalidCredential):
        rotating().authenticate(f"Bearer {text}")


@given(st.text(alphabet=st.characters(codec="latin-1")))
def test_no_header_without_the_scheme_is_a_credential(header: str) -> None:
    if header.strip().startswith("Bearer "):
        return
    try:
        assert rotating().authenticate(header) is ANONYMOUS
    except InvalidCredential:
        assert header.strip()
    else:
        assert not header.strip()


def test_what_is_looked_for_is_a_hash_and_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr("moltnet.auth.tokens.hmac.compare_digest", compare)
    tokens = rotating().tokens
    for value in CONFIGURED:
        assert tokens.find(value) is not None
    assert tokens.find("no token at all") is None
    assert compared == [token_digest(value) for value in CONFIGURED]
    assert not any(value in repr(tokens) for value in CONFIGURED)
