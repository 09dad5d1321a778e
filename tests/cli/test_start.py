"""What `moltnet start` says to whoever typed it."""

from moltnet.cli.start import welcome
from moltnet.config.settings import AuthMode, AuthSettings, MoltnetConfig

URLS = ["http://127.0.0.1:8787"]


def test_with_sign_in_the_first_request_carries_a_token() -> None:
    text = welcome(MoltnetConfig(auth=AuthSettings(mode=AuthMode.BEARER)), URLS)
    assert 'curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8787/v1/network' in text


def test_without_sign_in_no_request_carries_a_token() -> None:
    assert "Bearer" not in welcome(MoltnetConfig(), URLS)
