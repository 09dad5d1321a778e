"""Who calls: what proxies may say, what everybody else may not, and what garbage becomes."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.http.client_address import ClientAddress, IpNetwork, client_of, connection_source, parse_ip, source_of

PROXIES: tuple[IpNetwork, ...] = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "10.0.0.0/8", "2001:db8:ff::/48")))


def call(peer: str, trusted: tuple[IpNetwork, ...] = PROXIES, /, **headers: str) -> ClientAddress:
    scope: dict[str, Any] = {
        "client": (peer, 50000) if peer else None,
        "scheme": "http",
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    return client_of(scope, trusted)


class TestTheAddress:
    @pytest.mark.parametrize(
        ("told", "ip"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, 10.0.0.9", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7, 10.0.0.9, 10.0.0.8", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ('"[2001:db8::1]"', "2001:db8::1"),
            ("2001:db8:ff::1, 10.0.0.8", "2001:db8:ff::1"),  # all are proxies: the outermost
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("unknown", "127.0.0.1"),
            ("203.0.113.7, _hidden", "127.0.0.1"),
            ("6.6.6.6, garbage, 10.0.0.9", "10.0.0.9"),
            ("", "127.0.0.1"),
            (",,,", "127.0.0.1"),
            ("203.0.113.7,", "127.0.0.1"),
            ("203.0.113.999", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
        ],
    )
    def test_is_what_the_outermost_trusted_proxy_saw(self, told: str, ip: str) -> None:
        found = call("127.0.0.1", x_forwarded_for=told)
        assert found.ip == ip
        assert found.is_forwarded is (ip != "127.0.0.1")

    def test_is_the_peer_whatever_an_untrusted_one_says(self) -> None:
        headers = {"x_forwarded_for": "127.0.0.1", "x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
        for trusted in ((), PROXIES):
            found = call("203.0.113.7", trusted, host="ours.example", forwarded="for=127.0.0.1", **headers)
            assert (found.ip, found.scheme, found.host) == ("203.0.113.7", "http", "ours.example")

    def test_is_the_peer_if_nobody_is_trusted(self) -> None:
        assert call("127.0.0.1", (), x_forwarded_for="203.0.113.7").ip == "127.0.0.1"

    def test_the_other_header_for_it_is_not_read(self) -> None:
        assert call("127.0.0.1", forwarded="for=203.0.113.7").ip == "127.0.0.1"

    def test_a_header_that_comes_twice_is_one_list(self) -> None:
        headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"203.0.113.7")]
        assert client_of({"client": ("127.0.0.1", 1), "headers": headers}, PROXIES).ip == "203.0.113.7"

    def test_a_proxy_in_ipv6_clothes_is_that_proxy(self) -> None:
        assert call("::ffff:10.0.0.1", x_forwarded_for="203.0.113.7").ip == "203.0.113.7"

    def test_a_unix_socket_has_none_and_counts_as_this_machine(self) -> None:
        assert call("").ip == ""
        assert call("", x_forwarded_for="203.0.113.7").ip == "203.0.113.7"
        assert call("", PROXIES[1:2], x_forwarded_for="203.0.113.7").ip == ""

    def test_a_list_without_end_is_read_from_the_end(self) -> None:
        assert call("127.0.0.1", x_forwarded_for=", ".join(["10.0.0.1"] * 5000)).ip == "10.0.0.1"


class TestTheSource:
    def test_ipv4_counts_by_address_and_ipv6_by_customer(self) -> None:
        assert source_of("203.0.113.7") == "203.0.113.7"
        assert source_of("2001:db8:1:2:3:4:5:6") == source_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
        assert source_of("2001:db8:1:3::1") != source_of("2001:db8:1:2::1")
        assert source_of("") == ""

    def test_a_connection_of_a_proxy_is_nobodys(self) -> None:
        assert connection_source("10.1.2.3", PROXIES) == ""
        assert connection_source("203.0.113.7", PROXIES) == "203.0.113.7"
        assert connection_source("2001:db8:1:2::1", ()) == "2001:db8:1:2::/64"
        assert connection_source("", ()) == ""


class TestSchemeAndHost:
    @pytest.mark.parametrize(
        ("told", "scheme"), [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("gopher", "http"), ("", "http")]
    )
    def test_the_scheme_is_the_proxys(self, told: str, scheme: str) -> None:
        assert call("127.0.0.1", x_forwarded_proto=told).scheme == scheme

    def test_of_several_proxies_the_outermost_knows_them(self) -> None:
        hops = {"x_forwarded_for": "6.6.6.6, 203.0.113.7, 10.0.0.9"}  # the caller's own, then what two proxies saw
        found = call(
            "127.0.0.1",
            **hops,
            x_forwarded_proto="http, https, http",
            x_forwarded_host="evil.example, Ours.Example, inner:8787",
        )
        assert (found.scheme, found.host, found.origin) == ("https", "ours.example", "https://ours.example")

    def test_one_value_counts_for_all_hops(self) -> None:
        assert call("127.0.0.1", x_forwarded_for="203.0.113.7, 10.0.0.9", x_forwarded_proto="https").scheme == "https"

    def test_a_caller_that_says_https_to_a_proxy_that_appends_is_not_believed(self) -> None:
        assert call("127.0.0.1", x_forwarded_for="203.0.113.7", x_forwarded_proto="https, http").scheme == "http"

    def test_without_them_the_host_header_and_the_connection_count(self) -> None:
        found = call("127.0.0.1", host="Ours.example:8787")
        assert (found.scheme, found.host, found.host_names) == (
            "http",
            "ours.example:8787",
            frozenset({"ours.example"}),
        )
        assert client_of({"client": None, "scheme": "wss", "headers": []}).scheme == "https"

    @pytest.mark.parametrize(
        ("host", "name", "origin"),
        [
            ("127.0.0.1:8787", "127.0.0.1", "http://127.0.0.1:8787"),
            ("[::1]:8787", "::1", "http://[::1]:8787"),
            ("[::1]", "::1", "http://[::1]"),
            ("ours.example:80", "ours.example", "http://ours.example"),
            ("ours.example:443", "ours.example", "http://ours.example:443"),
            ("ours.example.", "ours.example.", "http://ours.example."),
            ("localhost,.evil.example", "", ""),
            ("evil!.example", "", ""),
            ("a b", "", ""),
            ("user@ours.example", "", ""),
            ("ours.example/path", "", ""),
            ("ours.example:port", "", ""),
        ],
    )
    def test_of_a_host(self, host: str, name: str, origin: str) -> None:
        found = call("192.0.2.1", host=host)
        assert (found.host_names, found.origin, found.names_host) == (frozenset({name}), origin, True)

    def test_no_host_is_not_a_bad_host(self) -> None:
        assert not call("192.0.2.1").names_host


@given(
    st.sampled_from(["127.0.0.1", "10.0.0.1", "203.0.113.7", "2001:db8::1", "", "garbage"]),
    st.lists(
        st.tuples(
            st.sampled_from([b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"host"]),
            st.binary(max_size=60) | st.sampled_from([b"203.0.113.7, 10.0.0.1", b"[::1]:1", b"https", b"a.example"]),
        ),
        max_size=8,
    ),
)
def test_whatever_the_headers_hold_the_answer_is_clean(peer: str, headers: list[tuple[bytes, bytes]]) -> None:
    found = client_of({"client": (peer, 1), "scheme": "http", "headers": headers}, PROXIES)
    assert found.ip == "" or str(parse_ip(found.ip)) == found.ip
    assert found.scheme in ("http", "https")
    assert found.host == found.host.lower()
    assert not set(found.host) & set(" ,/@\\\"'<>\r\n\0")
    if peer in ("203.0.113.7", "2001:db8::1"):
        assert found.ip == peer
