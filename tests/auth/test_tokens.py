import re

import pytest

from moltnet.auth.tokens import (
    InvalidCredential,
    StaticToken,
    TokenTable,
    agent_key,
    bearer_token,
    is_agent_token,
    new_agent_token,
    token_digest,
)
from moltnet.config.settings import Scope


@pytest.mark.parametrize("header", [None, "", "   "])
def test_no_authorization_header_is_no_credential(header: str | None) -> None:
    assert bearer_token(header) is None


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("  Bearer abc  ", "abc"), ("Bearer   abc", "abc"), ("Bearer a b", "a b")],
)
def test_the_token_is_what_stands_after_bearer_and_a_blank(header: str, token: str) -> None:
    assert bearer_token(header) == token


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer abc", "BEARER abc", "Basic abc", "Bearerabc", "abc"])
def test_any_other_authorization_is_refused_and_not_repeated(header: str) -> None:
    with pytest.raises(InvalidCredential) as caught:
        bearer_token(header)
    assert "abc" not in str(caught.value)


def test_an_agent_token_has_the_public_form_and_is_never_the_same() -> None:
    tokens = {new_agent_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert re.fullmatch(r"magt_v1_[A-Za-z0-9_-]{43}", token)
        assert is_agent_token(token)


@pytest.mark.parametrize("text", ["", "magt_v1_", "magt_v1_" + "a" * 42, "magt_v1_" + "a" * 44, "magt_v2_" + "a" * 43])
def test_other_text_is_no_agent_token(text: str) -> None:
    assert not is_agent_token(text)


def test_an_agent_is_kept_by_the_hash_of_its_token_only() -> None:
    key = agent_key("magt_v1_" + "a" * 43)
    assert re.fullmatch(r"agent-token:[0-9a-f]{64}", key)
    assert "magt" not in key
    assert key != agent_key("magt_v1_" + "b" * 43)


def test_the_first_token_with_the_value_is_found() -> None:
    first = StaticToken("first", token_digest("value-one"), frozenset({Scope.WRITE}))
    again = StaticToken("again", token_digest("value-one"), frozenset({Scope.ADMIN}))
    other = StaticToken("other", token_digest("value-two"), frozenset())
    table = TokenTable((other, first, again))
    assert table.find("value-one") is first
    assert table.find(" value-two ") is other
    assert table.find("value-three") is None
    assert TokenTable().find("value-one") is None


def test_a_token_is_never_shown_by_what_is_made_of_it() -> None:
    token = StaticToken("ci", token_digest("value-one"), frozenset({Scope.WRITE}))
    for shown in (repr(token), repr(token.claims), repr(TokenTable((token,)))):
        assert "value-one" not in shown
        assert token_digest("value-one").hex() not in shown
        assert repr(token_digest("value-one")) not in shown
    assert token.claims.key == "token:ci"
