"""Which web pages may talk to us: origins of every odd form, and names that point to us."""

import socket

import pytest

from moltnet.auth.origin import HostPolicy, OriginPolicy, own_names
from moltnet.config.urls import derived_origins, parse_listen_address

POLICY = OriginPolicy(frozenset({"https://chat.example.com", "http://127.0.0.1:8787", "http://[::1]:8787"}))


@pytest.mark.parametrize(
    ("origin", "permitted"),
    [
        (None, True),
        ("https://chat.example.com", True),
        ("https://chat.example.com/", True),
        ("http://127.0.0.1:8787", True),
        ("http://[::1]:8787", True),
        ("", False),
        ("/", False),
        ("null", False),
        ("http://chat.example.com", False),
        ("ws://chat.example.com", False),
        ("wss://chat.example.com", False),
        ("file://", False),
        ("chat.example.com", False),
        ("//chat.example.com", False),
        ("https://chat.example.com:443", False),  # no browser writes the scheme's own port
        ("https://chat.example.com:8443", False),
        ("https://CHAT.example.com", False),
        ("HTTPS://chat.example.com", False),
        ("https://chat.example.com.", False),
        ("https://chat.example.com//", False),
        ("https://chat.example.com/page", False),
        ("https://chat.example.com https://evil.test", False),
        ("https://user@chat.example.com", False),
        ("https://chat.example.com.evil.test", False),
        ("https://evil.test/https://chat.example.com", False),
        ("https://xn--cht-6ka.example.com", False),
        ("http://127.0.0.1:8788", False),
        ("http://127.0.0.1", False),
        ("http://[::1]", False),
        ("http://[0:0:0:0:0:0:0:1]:8787", False),
        ("http://::1:8787", False),
        (" https://chat.example.com", False),
        ("*", False),
    ],
)
def test_which_origins_are_let_in(origin: str | None, permitted: bool) -> None:
    assert POLICY.permits(origin) is permitted
    # A list that was written is the whole list, whatever name the page has reached us by.
    assert POLICY.permits(origin, "https://evil.test") is permitted


class TestPagesOfOurOwn:
    OWN = OriginPolicy(frozenset(derived_origins(parse_listen_address(":8787"))), same_origin=True)

    @pytest.mark.parametrize("own", ["https://chat.example.com", "http://192.0.2.7:8787", "http://[2001:db8::1]:8787"])
    def test_are_let_in_by_whatever_name_they_reached_us(self, own: str) -> None:
        assert self.OWN.permits(own, own)
        assert self.OWN.permits("http://localhost:8787", own)

    @pytest.mark.parametrize(
        "origin", ["https://evil.test", "http://chat.example.com", "https://chat.example.com:8443", "null", ""]
    )
    def test_others_are_not(self, origin: str) -> None:
        assert not self.OWN.permits(origin, "https://chat.example.com")

    @pytest.mark.parametrize("origin", ["", "null", "http://"])
    def test_an_unknown_name_makes_nobody_our_own(self, origin: str) -> None:
        assert not self.OWN.permits(origin, "")


class TestHosts:
    LOOPBACK = HostPolicy.of(["https://chat.example.com", "http://[::1]:8787"], everywhere=False)
    EVERYWHERE = HostPolicy.of([], everywhere=True)

    @pytest.mark.parametrize(
        "name",
        ["localhost", "localhost.", "moltnet.localhost", "127.0.0.1", "127.1.2.3", "::1", "192.168.1.5", "2001:db8::1"],
    )
    def test_addresses_and_localhost_are_ours(self, name: str) -> None:
        assert self.LOOPBACK.permits(name)
        assert self.EVERYWHERE.permits(name)

    def test_so_are_this_machines_names_and_what_the_file_lists(self) -> None:
        assert self.LOOPBACK.permits(socket.gethostname().lower())
        assert self.LOOPBACK.permits("chat.example.com")
        assert self.LOOPBACK.permits("host.docker.internal")
        assert not self.EVERYWHERE.permits("chat.example.com")
        assert all(self.EVERYWHERE.permits(name) for name in own_names())

    @pytest.mark.parametrize(
        "name",
        [
            "evil.example",
            "evil.example.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "chat.example.com.evil.example",
            "evillocalhost",
            "sub.chat.example.com",
            "printer.local",
            "",
            ".",
        ],
    )
    def test_any_other_name_may_be_a_strangers(self, name: str) -> None:
        assert not self.LOOPBACK.permits(name)

    @pytest.mark.parametrize(
        "name", ["moltnet", "moltnet.lan", "box.local", "moltnet.prod.svc.cluster.local", "db.internal"]
    )
    def test_beyond_loopback_names_that_only_a_private_network_has_are_let_in(self, name: str) -> None:
        assert self.EVERYWHERE.permits(name)

    @pytest.mark.parametrize("name", ["evil.example", "local.evil.example", "", ".", "127.0.0.1.nip.io"])
    def test_beyond_loopback_public_names_are_not(self, name: str) -> None:
        assert not self.EVERYWHERE.permits(name)
