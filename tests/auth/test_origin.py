import pytest

from moltnet.auth.origin import OriginPolicy

POLICY = OriginPolicy(frozenset({"https://chat.example.com", "http://127.0.0.1:8787"}))


@pytest.mark.parametrize(
    ("origin", "permitted"),
    [
        (None, True),
        ("https://chat.example.com", True),
        ("https://chat.example.com/", True),
        ("http://127.0.0.1:8787", True),
        ("", False),
        ("null", False),
        ("http://chat.example.com", False),
        ("https://chat.example.com:8443", False),
        ("https://CHAT.example.com", False),
        ("https://chat.example.com.evil.test", False),
        ("https://evil.test/https://chat.example.com", False),
        ("http://127.0.0.1:8788", False),
        ("*", False),
    ],
)
def test_which_origins_are_let_in(origin: str | None, permitted: bool) -> None:
    assert POLICY.permits(origin) is permitted
