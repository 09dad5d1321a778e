"""Base URLs, browser origins and listen addresses."""

import pytest

from moltnet.config.urls import (
    ListenAddress,
    base_url,
    derived_origins,
    origin,
    origin_problem,
    parse_listen_address,
    url_problem,
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://host", "must start with http:// or https://"),
        ("host:8787", "must start with"),
        ("http://", "needs a host"),
        ("http:///path", "needs a host"),
        ("http://host:99999", "is not a valid URL"),
        ("http://ho st", "is not a valid URL"),
        ("http://[::1", "is not a valid URL"),
        ("http://-bad-", "needs a host"),
        ("http://user:hunter2@host", "must not hold a user or password"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused(text: str, reason: str) -> None:
    problem = url_problem(text)
    assert problem is not None
    assert reason in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "text", ["http://host", "https://host.example:8443/base/", "http://127.0.0.1:8787", "http://[::1]:1"]
)
def test_a_url_with_a_host_is_accepted(text: str) -> None:
    assert url_problem(text) is None


def test_only_the_schemes_of_the_key_are_accepted() -> None:
    assert url_problem("ws://host", ("ws", "wss")) is None
    assert url_problem("http://host", ("ws", "wss")) == "must start with ws:// or wss://"


@pytest.mark.parametrize(
    ("text", "base"),
    [("https://host/", "https://host"), ("https://host/a/?q=1#f", "https://host/a"), ("http://h:1", "http://h:1")],
)
def test_a_base_url_is_ready_for_a_path(text: str, base: str) -> None:
    assert base_url(text) == base


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://Noopolis.Example/", "https://noopolis.example"),
        ("https://host:443", "https://host"),
        ("http://host:80", "http://host"),
        ("http://host:8080", "http://host:8080"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, sent: str) -> None:
    assert origin_problem(text) is None
    assert origin(text) == sent


@pytest.mark.parametrize(
    "text",
    ["*", "https://*.example", "https://host/path", "https://host?q", "null", "host", "chrome-extension://abc", ""],
)
def test_weakness_server_9_an_origin_that_can_never_match_is_refused(text: str) -> None:
    assert origin_problem(text) is not None


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        (":8787", "", 8787, False),
        ("127.0.0.1:8787", "127.0.0.1", 8787, True),
        ("127.9.9.9:1", "127.9.9.9", 1, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:8787", "::1", 8787, True),
        ("[::]:8787", "::", 8787, False),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("moltnet.internal:80", "moltnet.internal", 80, False),
        ("10.0.0.5:65535", "10.0.0.5", 65535, False),
    ],
)
def test_a_listen_address_is_read_and_written_back(text: str, host: str, port: int, is_loopback: bool) -> None:
    address = parse_listen_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "8787", "host", "host:", "host:http", "host:65536", "host:-1", "::1:8787", "[host]:1", "a b:1", "[::1]"],
)
def test_what_is_no_listen_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|needs|may|does)"):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            ListenAddress(""),
            ["http://localhost:8787", "https://localhost:8787", "http://127.0.0.1:8787", "https://127.0.0.1:8787"],
        ),
        (
            ListenAddress("127.0.0.1", 80),
            ["http://localhost", "https://localhost:80", "http://127.0.0.1", "https://127.0.0.1:80"],
        ),
    ],
)
def test_a_server_without_origins_accepts_its_own_pages(address: ListenAddress, expected: list[str]) -> None:
    assert list(derived_origins(address)) == expected


def test_the_host_that_a_server_listens_on_is_one_of_its_origins() -> None:
    assert "https://moltnet.internal:8787" in derived_origins(ListenAddress("Moltnet.internal"))
    assert "http://[::1]:8787" in derived_origins(ListenAddress("::1"))
