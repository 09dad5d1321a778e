"""`moltnet pair` and `moltnet pairing` without a server: what they refuse, and that nothing is changed then."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from moltnet.cli.exit_codes import ExitCode
from moltnet.cli.main import main
from moltnet.pairing.code import InvitationCode, parse_code
from moltnet.pairing.invitations import find_invitation, invitations_path
from moltnet.protocol.times import format_timestamp
from tests.fakes.certificates import make_certificate
from tests.fakes.network import secret_of

FILE = f"""\
network: {{id: lab, name: Lab}}
server: {{listen_addr: "127.0.0.1:9"}} # nobody listens there
auth: {{mode: bearer, tokens: [{{id: ops, value: {secret_of("ops")}, scopes: [admin]}}]}}
rooms: [{{id: general}}]
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "Moltnet"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


@pytest.fixture
def code() -> InvitationCode:
    expires_at = format_timestamp(datetime.now(UTC) + timedelta(hours=1))
    return InvitationCode(
        "0123456789abcdef", "the-secret", "net_b", "https://net-b.test", expires_at, "Net B", ("general",)
    )


def test_an_invitation_is_printed_alone_and_kept_without_its_secret(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["pair", "invite", "--url", "https://lab.test/", "--rooms", "general", "--expires", "2h"]) == ExitCode.OK
    )
    printed = capsys.readouterr()
    code = parse_code(printed.out)
    assert (code.network_id, code.base_url, code.rooms) == ("lab", "https://lab.test", ("general",))
    assert timedelta(hours=1) < code.expires - datetime.now(UTC) <= timedelta(hours=2)
    kept = find_invitation(invitations_path(path), code.id)
    assert kept is not None
    assert kept.fits(code.secret)
    assert code.secret not in printed.err + invitations_path(path).read_text()
    assert path.read_text() == FILE


def test_a_code_can_go_into_a_private_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", "invite", "--url", "https://lab.test", "--to", "partner.code"]) == ExitCode.OK
    assert capsys.readouterr().out == ""
    file = path.with_name("partner.code")
    assert file.stat().st_mode & 0o777 == 0o600
    assert parse_code(file.read_text()).rooms == ()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        ([], ExitCode.USAGE, "must be https"),
        (["--url", "https://10.0.0.1"], ExitCode.USAGE, "--allow-private"),
        (["--url", "ftp://lab.test"], ExitCode.USAGE, "--url must start with"),
        (["--url", "https://lab.test", "--rooms", "a b"], ExitCode.USAGE, "--rooms"),
        (["--url", "https://lab.test", "--expires", "8d"], ExitCode.USAGE, "--expires must be from 1m to 7d"),
        (["--url", "https://lab.test", "--expires", "soon"], ExitCode.USAGE, "--expires must be a length of time"),
        (["--url", "https://lab.test", "--rooms", "attic"], ExitCode.NOT_FOUND, "no room attic"),
    ],
)
def test_an_invitation_that_nobody_could_accept_is_not_made(
    path: Path, arguments: list[str], exit_code: ExitCode, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pair", "invite", *arguments]) == exit_code
    assert text in capsys.readouterr().err
    assert not invitations_path(path).exists()


def accept(
    code: InvitationCode | str, *arguments: str, monkeypatch: pytest.MonkeyPatch, url: str = "https://lab.test"
) -> int:
    text = code if isinstance(code, str) else code.text()
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["pair", "accept", "--url", url, *arguments])


def test_a_code_is_refused_before_anything_is_written(
    path: Path, code: InvitationCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    past = format_timestamp(datetime.now(UTC) - timedelta(seconds=1))
    for given, arguments, exit_code, text in (
        ("nonsense", (), ExitCode.USAGE, "that is no code"),
        (attrs.evolve(code, expires_at=past), (), ExitCode.AUTH, "expired"),
        (attrs.evolve(code, network_id="lab"), (), ExitCode.CONFLICT, "same id"),
        (attrs.evolve(code, base_url="http://net-b.test"), (), ExitCode.USAGE, "must be https"),
        (attrs.evolve(code, base_url="https://169.254.169.254"), ("--allow-private",), ExitCode.USAGE, "metadata"),
        (code, ("--rooms", "attic"), ExitCode.USAGE, "the invitation offers general"),
        (code, ("--from", "x", "CODE"), ExitCode.USAGE, "exclude each other"),
    ):
        assert accept(given, *arguments, monkeypatch=monkeypatch) == exit_code, text
        printed = capsys.readouterr()
        assert text in printed.err
        assert "the-secret" not in printed.err
        assert path.read_text() == FILE


def test_where_nobody_answers_the_file_is_put_back(
    path: Path, code: InvitationCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = attrs.evolve(code, base_url="http://127.0.0.1:1")
    assert accept(here, "--allow-private", monkeypatch=monkeypatch) == ExitCode.NETWORK
    assert path.read_text() == FILE
    assert "does not run" in capsys.readouterr().err


def test_authorities_are_kept_with_the_invitation_wherever_the_file_is(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca_file = make_certificate(path.parent).ca_file
    invite = ["pair", "invite", "--url", "https://lab.test", "--ca-file"]
    assert main([*invite, ca_file.name]) == ExitCode.OK
    kept = find_invitation(invitations_path(path), parse_code(capsys.readouterr().out).id)
    assert kept is not None
    assert kept.ca_file == str(ca_file)
    assert main([*invite, "gone.pem"]) != ExitCode.OK
    assert "ca_file: cannot be read" in capsys.readouterr().err


def test_authorities_that_are_none_end_an_acceptance_before_anything_is_written(
    path: Path, code: InvitationCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("gone.pem", "Moltnet"):
        assert accept(code, "--ca-file", name, monkeypatch=monkeypatch) == ExitCode.USAGE
        assert f"--ca-file {name} can't be used" in capsys.readouterr().err
    assert path.read_text() == FILE


def test_a_pairing_is_switched_off_and_on_in_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(FILE + "pairings:\n  - id: b # theirs\n    remote_base_url: https://b.test\n")
    assert main(["pairing", "disable", "b"]) == ExitCode.OK
    assert path.read_text().endswith("  - id: b # theirs\n    remote_base_url: https://b.test\n    enabled: false\n")
    assert main(["pairing", "enable", "b"]) == ExitCode.OK
    assert path.read_text().endswith("    enabled: true\n")
    assert main(["pairing", "disable", "c"]) == ExitCode.NOT_FOUND
    assert "does not run" in capsys.readouterr().err
