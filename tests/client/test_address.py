import pytest

from moltnet.client.address import ServerAddress, parse_server_address
from moltnet.client.errors import BadServerAddress


@pytest.mark.parametrize(
    ("text", "address", "authority"),
    [
        ("http://127.0.0.1:8787", ServerAddress("http", "127.0.0.1", 8787), "127.0.0.1:8787"),
        ("https://Chat.Example.org", ServerAddress("https", "chat.example.org", 443), "chat.example.org"),
        (" https://chat.example.org:443/ ", ServerAddress("https", "chat.example.org", 443), "chat.example.org"),
        (
            "http://chat.example.org/moltnet/",
            ServerAddress("http", "chat.example.org", 80, "/moltnet"),
            "chat.example.org",
        ),
        ("https://[::1]:8443/a/b", ServerAddress("https", "::1", 8443, "/a/b"), "[::1]:8443"),
        ("http://[2001:db8::1]", ServerAddress("http", "2001:db8::1", 80), "[2001:db8::1]"),
    ],
)
def test_a_base_url_is_taken_apart(text: str, address: ServerAddress, authority: str) -> None:
    assert parse_server_address(text) == address
    assert address.authority == authority


def test_an_address_shows_as_its_url() -> None:
    assert str(parse_server_address("https://chat.example.org:443/moltnet/")) == "https://chat.example.org/moltnet"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chat.example.org",
        "127.0.0.1:8787",
        "ftp://chat.example.org",
        "http://",
        "http://:8787",
        "http://chat.example.org:99999",
        "http://[::1",
        "http://a b.example.org",
        "http://chat.example.org/a b",
        "http://chat.example.org/\r\nHost: evil",
    ],
)
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(BadServerAddress, match="the server's address"):
        parse_server_address(text)


def test_credentials_in_a_base_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(BadServerAddress) as caught:
        parse_server_address("http://user:hunter2@chat.example.org")
    assert "hunter2" not in str(caught.value)
