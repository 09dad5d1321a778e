from collections.abc import Mapping

import pytest

from moltnet.client.address import parse_server_address
from moltnet.client.errors import BadServerAddress
from moltnet.client.proxies import Proxy, find_proxy

PROXY = Proxy("proxy.example.org", 3128)
URL = "http://proxy.example.org:3128"


@pytest.mark.parametrize(
    ("server", "environ", "proxy"),
    [
        ("http://a.example.org", {}, None),
        ("http://a.example.org", {"http_proxy": URL}, PROXY),
        ("http://a.example.org", {"HTTP_PROXY": URL}, PROXY),
        ("http://a.example.org", {"HTTP_PROXY": "http://other", "http_proxy": URL}, PROXY),
        ("http://a.example.org", {"HTTP_PROXY": "proxy.example.org:3128"}, PROXY),
        ("http://a.example.org", {"https_proxy": URL}, None),
        ("https://a.example.org", {"https_proxy": URL}, PROXY),
        ("https://a.example.org", {"https_proxy": " "}, None),
        ("https://a.example.org", {"https_proxy": "http://proxy"}, Proxy("proxy", 80)),
        ("https://a.example.org", {"https_proxy": "http://[::1]:1"}, Proxy("::1", 1)),
        # A CGI server puts the request's "Proxy:" header there.
        ("http://a.example.org", {"HTTP_PROXY": URL, "REQUEST_METHOD": "GET"}, None),
        ("http://a.example.org", {"http_proxy": URL, "REQUEST_METHOD": "GET"}, PROXY),
        # Loopback is never proxied.
        ("http://localhost:8787", {"http_proxy": URL}, None),
        ("http://127.0.0.1:8787", {"http_proxy": URL}, None),
        ("http://[::1]:8787", {"http_proxy": URL}, None),
    ],
)
def test_the_environment_names_the_proxy(server: str, environ: Mapping[str, str], proxy: Proxy | None) -> None:
    assert find_proxy(parse_server_address(server), environ) == proxy


@pytest.mark.parametrize(
    ("server", "no_proxy", "direct"),
    [
        ("http://a.example.org", "*", True),
        ("http://a.example.org", "a.example.org", True),
        ("http://a.example.org", "b.example.org, EXAMPLE.org", True),
        ("http://a.example.org", ".example.org", True),
        ("http://a.example.org", "*.example.org", True),
        ("http://a.example.org", "ple.org", False),
        ("http://a.example.org:81", "example.org:81", True),
        ("http://a.example.org:81", "example.org:82", False),
        ("http://a.example.org", "", False),
        ("http://a.example.org", " , ", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3:81", "10.1.2.3:81", True),
        ("http://10.1.2.3:81", "10.1.2.3:82", False),
        ("http://10.1.2.3", "192.168.0.0/16,example.org", False),
        ("http://[2001:db8::5]", "2001:db8::/32", True),
    ],
)
def test_no_proxy_makes_exceptions(server: str, no_proxy: str, direct: bool) -> None:
    proxy = find_proxy(parse_server_address(server), {"http_proxy": URL, "NO_PROXY": no_proxy})
    assert (proxy is None) is direct


def test_credentials_of_a_proxy_are_used_and_not_shown() -> None:
    proxy = find_proxy(parse_server_address("http://a.example.org"), {"http_proxy": "http://me:hunter%32@proxy:1"})
    assert proxy is not None
    assert proxy.authorization == "Basic bWU6aHVudGVyMg=="
    assert str(proxy) == "proxy:1"
    assert "bWU6" not in repr(proxy)


@pytest.mark.parametrize("text", ["https://proxy", "socks5://proxy", "http://", "http://proxy:99999", "http://pröxy"])
def test_an_unusable_proxy_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(BadServerAddress, match="HTTP_PROXY") as caught:
        find_proxy(parse_server_address("http://a.example.org"), {"http_proxy": text})
    assert "pr" not in str(caught.value).partition(" ")[2].replace("proxy", "")
