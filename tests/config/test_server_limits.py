"""``server.limits`` and ``server.trusted_proxies`` in a file: what they mean, and what is refused with its line."""

import ipaddress
from pathlib import Path

import attrs
import pytest

from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.server_limits import (
    CAPS_ONLY,
    DEFAULT_LIMITS,
    NO_LIMITS,
    RATES,
    LimitKeys,
    LimitSettings,
    Rate,
    parse_count,
    parse_rate,
)
from moltnet.config.settings import ServerSettings

BEARER = """\
auth:
  mode: bearer
  tokens:
    - {id: ops, value_env: OPS_TOKEN, scopes: [admin]}
"""
NO_RATE = 'must be a rate such as 500/s, 30/m or "100/h burst 1000", or unlimited'
ENVIRON = {"OPS_TOKEN": "0123456789abcdef0123456789abcdef"}


def load(directory: Path, text: str) -> ServerSettings:
    path = directory / "Moltnet"
    path.write_text(text)
    return load_server_config(path, ENVIRON, directory).server


def problems(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(directory, text)
    return [line.removeprefix(f"{directory}/Moltnet:") for line in str(refused.value).splitlines()]


class TestLimits:
    def test_every_key_of_the_file_is_a_limit(self) -> None:
        assert [field.name for field in attrs.fields(LimitKeys)] == [f.name for f in attrs.fields(LimitSettings)]
        assert RATES
        assert all(getattr(DEFAULT_LIMITS, field.name) is not None for field in attrs.fields(LimitSettings))

    def test_they_hold_without_being_written(self, tmp_path: Path) -> None:
        assert load(tmp_path, BEARER).limits == DEFAULT_LIMITS

    def test_on_loopback_without_sign_in_only_caps_do(self, tmp_path: Path) -> None:
        assert load(tmp_path, "version: moltnet.v1\n").limits == CAPS_ONLY == ServerSettings().limits

    def test_behind_a_proxy_without_sign_in_all_do(self, tmp_path: Path) -> None:
        assert load(tmp_path, "server: {trusted_proxies: [loopback]}\n").limits == DEFAULT_LIMITS

    def test_beyond_loopback_without_sign_in_all_do(self, tmp_path: Path) -> None:
        server = load(tmp_path, 'server: {listen_addr: ":8787", allow_insecure_bind: true}\n')
        assert server.limits == DEFAULT_LIMITS

    def test_what_is_written_holds_everywhere(self, tmp_path: Path) -> None:
        text = """\
server:
  limits:
    requests_per_credential: 20/s burst 100
    messages_per_credential: 60/m
    registrations_per_address: 10/h, burst 50
    failed_authentications_per_address: unlimited
    streams: 12
    connections: unlimited
    attachments: "7"
"""
        for mode in ("", BEARER):
            limits = load(tmp_path, text + mode).limits
            assert limits.requests_per_credential == Rate(20, 100)
            assert limits.messages_per_credential == Rate(1, 60)
            assert limits.registrations_per_address == Rate(10 / 3600, 50)
            assert limits.failed_authentications_per_address is None
            assert (limits.streams, limits.connections, limits.attachments) == (12, None, 7)

    def test_all_of_them_may_be_lifted(self, tmp_path: Path) -> None:
        lifted = "".join(f"    {field.name}: unlimited\n" for field in attrs.fields(LimitSettings))
        assert load(tmp_path, f"server:\n  limits:\n{lifted}{BEARER}").limits == NO_LIMITS

    def test_what_is_wrong_is_told_with_its_line(self, tmp_path: Path) -> None:
        text = """\
server:
  limits:
    requests_per_credential: 20
    messages_per_credential: 0/s
    registrations_per_address: 5/d
    streams: 0
    connections: many
    attachments: -1
    pending_handshakes: 1.5
    connexions: 5
"""
        assert problems(tmp_path, text) == [
            f"3: $.server.limits.requests_per_credential: {NO_RATE}",
            "4: $.server.limits.messages_per_credential: must have numbers from 1 to 1000000000; nothing at all can't "
            "be allowed, unlimited can",
            f"5: $.server.limits.registrations_per_address: {NO_RATE}",
            "6: $.server.limits.streams: must be a number from 1 to 1000000000, or unlimited; 0 is neither",
            "7: $.server.limits.connections: must be a number from 1 to 1000000000, or unlimited; 0 is neither",
            "8: $.server.limits.attachments: must be a number from 1 to 1000000000, or unlimited; 0 is neither",
            "9: $.server.limits.pending_handshakes: must be a number",
            "10: $.server.limits.connexions: is not a known field (did you mean connections?)",
        ]

    def test_a_share_is_not_more_than_all(self, tmp_path: Path) -> None:
        text = "server:\n  limits:\n    connections: 10\n    connections_per_address: 11\n"
        assert problems(tmp_path, text) == [
            "4: $.server.limits.connections_per_address: is more than server.limits.connections allows in all"
        ]
        assert load(tmp_path, "server:\n  limits:\n    connections: 10\n").limits.connections == 10


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/s", Rate(1, 1)),
        (" 90 / m ", Rate(1.5, 90)),
        ("100/h burst 1", Rate(100 / 3600, 1)),
        ("100/h,burst 5", Rate(100 / 3600, 5)),
        ("Unlimited", None),
    ],
)
def test_a_rate(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "5", "/s", "5/s burst", "5/s burst 0", "-5/s", "1e3/s", "9999999999/s", "٣/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_rate(text)


@pytest.mark.parametrize("written", [0, -1, "", "0", "1.5", "1e3", "٣", 9_999_999_999])
def test_what_is_no_count(written: int | str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        parse_count(written)


class TestTrustedProxies:
    def test_nobody_is_trusted_unasked(self, tmp_path: Path) -> None:
        assert load(tmp_path, BEARER).trusted_proxies == ()

    def test_addresses_networks_and_words(self, tmp_path: Path) -> None:
        server = load(tmp_path, "server:\n  trusted_proxies: [10.0.0.7, 2001:db8::/48, loopback, 10.0.0.7]\n")
        assert server.trusted_proxies == tuple(
            map(ipaddress.ip_network, ("10.0.0.7/32", "2001:db8::/48", "127.0.0.0/8", "::1/128"))
        )

    def test_the_older_switch_alone_means_a_proxy_nearby(self, tmp_path: Path) -> None:
        server = load(tmp_path, "server:\n  trust_forwarded_proto: true\n")
        trusted = server.trusted_proxies
        for near in ("127.0.0.1", "::1", "172.17.0.1", "192.168.1.1", "10.9.8.7", "fd00::1"):
            assert any(ipaddress.ip_address(near) in network for network in trusted)
        for far in ("203.0.113.7", "8.8.8.8", "2001:db8::1"):
            assert not any(ipaddress.ip_address(far) in network for network in trusted)

    def test_beside_the_list_the_older_switch_adds_nobody(self, tmp_path: Path) -> None:
        server = load(tmp_path, "server:\n  trust_forwarded_proto: true\n  trusted_proxies: [10.0.0.7]\n")
        assert server.trusted_proxies == (ipaddress.ip_network("10.0.0.7"),)

    def test_what_is_wrong_is_told_with_its_line(self, tmp_path: Path) -> None:
        text = "server:\n  trusted_proxies:\n    - proxy.example\n    - 10.0.0.1/8\n    - 0.0.0.0/0\n    - ''\n"
        wrong = "must be an address (10.0.0.7), a network (10.0.0.0/8, no host bits), or loopback or private"
        assert problems(tmp_path, text) == [
            f"3: $.server.trusted_proxies[0]: {wrong}",
            f"4: $.server.trusted_proxies[1]: {wrong}",
            "5: $.server.trusted_proxies[2]: trusts everybody, and then anybody can say to be anybody",
            f"6: $.server.trusted_proxies[3]: {wrong}",
        ]


class TestOrigins:
    def test_whether_they_were_written(self, tmp_path: Path) -> None:
        assert load(tmp_path, "server: {}\n").derives_origins
        assert not load(tmp_path, "server: {allowed_origins: ['https://chat.example.com']}\n").derives_origins
