"""What a pairing of the config file may say, where it is wrong, and what its settings become."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moltnet.config.problems import ConfigError
from moltnet.config.secrets import Secret
from moltnet.config.server import load_server_config
from tests.fakes.certificates import make_certificate
from tests.fakes.network import secret_of

Write = Callable[..., Path]

WRONG: list[tuple[str, list[tuple[int, str, str]]]] = [
    (
        """\
pairings:
  - {id: a, remote_base_url: "https://a.test", remote_network_id: net}
  - {id: a, remote_base_url: "https://b.test", remote_network_id: net_b}
""",
        [(3, "$.pairings[1].id", "is already the id of pairings[0]")],
    ),
    (
        """\
pairings:
  - {id: a, remote_base_url: "https://a.test", remote_network_id: net}
  - {id: b, remote_base_url: "https://b.test", remote_network_id: " net "}
""",
        [(3, "$.pairings[1].remote_network_id", "is already the network of pairings[0]")],
    ),
    (
        """\
pairings:
  - {id: a, remote_base_url: "https://a.test/x/"}
  - {id: b, remote_base_url: "https://A.test/x"}
""",
        [(3, "$.pairings[1].remote_base_url", "is already the address of pairings[0]")],
    ),
    (
        """\
network: {id: lab}
server: {listen_addr: "127.0.0.1:8787"}
pairings:
  - {id: a, remote_base_url: "http://localhost:8787"}
  - {id: b, remote_base_url: "http://127.0.0.1:8787/x"}
  - {id: c, remote_base_url: "https://c.test", remote_network_id: lab}
""",
        [
            (4, "$.pairings[0].remote_base_url", "is this server's own address"),
            (5, "$.pairings[1].remote_base_url", "is this server's own address"),
            (6, "$.pairings[2].remote_network_id", "is this network's own id"),
        ],
    ),
    (
        """\
pairings:
  - id: a
    remote_base_url: https://a.test
    remote_network_id: "net:a"
    rooms: [general, "", "a b"]
    ca_file: gone.pem
    token: "a b c"
    enabled: 1
""",
        [
            (
                4,
                "$.pairings[0].remote_network_id",
                "must not hold a colon, which separates a network from an agent",
            ),
            (5, "$.pairings[0].rooms[1]", "is required"),
            (6, "$.pairings[0].ca_file", "cannot be read: no such file or directory"),
            (
                7,
                "$.pairings[0].token",
                "holds characters that cannot travel in an HTTP header (only visible ASCII, no blanks)",
            ),
        ],
    ),
    (
        """\
pairings:
  - {id: a, remote_base_url: "http://a.test", ca_file: Moltnet}
""",
        [
            (2, "$.pairings[0].ca_file", "needs an https address"),
            (2, "$.pairings[0].ca_file", "holds no certificates in PEM form"),
        ],
    ),
    (
        """\
pairings:
  - id: a
    remote_base_url: https://a.test
    token_env: NOBODY_SETS_THIS
  - id: b
    remote_base_url: https://b.test
    token_env: X
    token_file: y
""",
        [
            (4, "$.pairings[0].token_env", "environment variable NOBODY_SETS_THIS is not set or blank"),
            (8, "$.pairings[1].token_file", "cannot stand beside token_env; one source is enough"),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_what_is_wrong_is_named_with_its_line(write: Write, text: str, expected: list[tuple[int, str, str]]) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_server_config(path, {}, path.parent)
    found = [(problem.line, problem.path, problem.message) for problem in caught.value.problems]
    assert [problem for problem in expected if problem not in found] == [], found


def test_what_a_pairing_says_becomes_its_settings(write: Write, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    (tmp_path / "there.token").write_text(f"{secret_of('b')}\n")
    (tmp_path / "there.token").chmod(0o600)
    path = write(
        f"""\
pairings:
  - id: plain
    remote_base_url: http://plain:8787/
  - id: full
    remote_base_url: https://full.test
    remote_network_id: net_full
    token_file: {tmp_path / "there.token"}
    rooms: [general, " support ", general]
    enabled: no
    ca_file: {certificate.ca_file}
    allow_private_address: true
  - id: directs
    remote_base_url: https://directs.test
    token_env: THERE
    rooms: []
"""
    )
    plain, full, directs = load_server_config(path, {"THERE": secret_of("c")}, path.parent).pairings
    assert (plain.remote_base_url, plain.enabled, plain.rooms, plain.token) == ("http://plain:8787", True, None, None)
    assert (plain.ca_file, plain.allow_private_address) == (None, None)
    assert plain.relays_room("anything")
    assert (full.token, full.enabled) == (Secret(secret_of("b")), False)
    assert sorted(full.rooms or ()) == ["general", "support"]
    assert (full.ca_file, full.allow_private_address) == (certificate.ca_file, True)
    assert full.relays_room("support")
    assert not full.relays_room("attic")
    assert (directs.token, directs.rooms) == (Secret(secret_of("c")), frozenset())
    assert not directs.relays_room("general")
    assert "PLANTED" not in repr((plain, full, directs))


def test_a_new_token_in_its_file_is_another_pairing(write: Write, tmp_path: Path) -> None:
    """So a reload begins the pairing anew, with the new token."""
    token = tmp_path / "there.token"
    token.write_text(secret_of("b"))
    token.chmod(0o600)
    path = write(f"pairings: [{{id: a, remote_base_url: 'https://a.test', token_file: '{token}'}}]")
    before = load_server_config(path, {}, path.parent).pairings
    token.write_text(secret_of("c"))
    assert load_server_config(path, {}, path.parent).pairings != before
