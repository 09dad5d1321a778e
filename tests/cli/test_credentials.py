"""Which credential comes out of the options and what was there: a table, and where tokens are kept."""

import stat
from pathlib import Path

import pytest

from moltnet.cli.credentials import Credential, CredentialFlags, credential_for
from moltnet.config.client import ClientAttachment, ClientDirect
from moltnet.config.secrets import Secret, TokenFileMissing, TokenSource, TokenUnavailable
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.wake import WakeRule
from moltnet.protocol.ids import NetworkId

NONE, BEARER, OPEN = AuthMode
DISABLED, TOKEN, FREE = Registration
OLD = TokenSource(env="OLD")
NEW = TokenSource(env="NEW")


def before(mode: AuthMode, registration: Registration, token: TokenSource | None) -> ClientAttachment:
    return ClientAttachment(
        network_id=NetworkId("net_a"),
        member_id="alpha",
        base_url="http://127.0.0.1",
        agent_name="",
        runtime="",
        auth_mode=mode,
        registration=registration,
        token=token,
        rooms=(),
        dms=ClientDirect(enabled=False, wake=WakeRule()),
    )


@pytest.mark.parametrize(
    ("existing", "flags", "result"),
    [
        # A new attachment.
        (None, CredentialFlags(), (NONE, DISABLED, None)),
        (None, CredentialFlags(token_env="NEW"), (BEARER, DISABLED, NEW)),
        (None, CredentialFlags(mode=BEARER, token_env="NEW"), (BEARER, DISABLED, NEW)),
        (None, CredentialFlags(mode=OPEN), (OPEN, FREE, None)),
        (None, CredentialFlags(registration=FREE), (OPEN, FREE, None)),
        (None, CredentialFlags(registration=FREE, token_env="NEW"), (BEARER, FREE, NEW)),
        (None, CredentialFlags(mode=BEARER, registration=FREE), (BEARER, FREE, None)),
        (None, CredentialFlags(mode=NONE, token_env="NEW"), (NONE, DISABLED, NEW)),
        # An existing one keeps what is not named.
        ((BEARER, DISABLED, OLD), CredentialFlags(), (BEARER, DISABLED, OLD)),
        ((OPEN, FREE, OLD), CredentialFlags(), (OPEN, FREE, OLD)),
        ((BEARER, TOKEN, OLD), CredentialFlags(token_env="NEW"), (BEARER, TOKEN, NEW)),
        ((OPEN, FREE, OLD), CredentialFlags(token_env="NEW"), (OPEN, FREE, NEW)),
        ((NONE, DISABLED, None), CredentialFlags(token_env="NEW"), (BEARER, DISABLED, NEW)),
        ((BEARER, DISABLED, OLD), CredentialFlags(registration=FREE), (BEARER, FREE, OLD)),
        ((NONE, DISABLED, None), CredentialFlags(registration=FREE), (OPEN, FREE, None)),
        ((BEARER, DISABLED, OLD), CredentialFlags(mode=OPEN), (OPEN, FREE, OLD)),
        ((OPEN, FREE, OLD), CredentialFlags(mode=BEARER), (BEARER, FREE, OLD)),
        ((BEARER, DISABLED, OLD), CredentialFlags(mode=NONE), (NONE, DISABLED, None)),
    ],
)
def test_options_add_to_what_is_there(
    existing: tuple[AuthMode, Registration, TokenSource | None] | None,
    flags: CredentialFlags,
    result: tuple[AuthMode, Registration, TokenSource | None],
) -> None:
    credential = credential_for(flags, before(*existing) if existing is not None else None)
    assert (credential.mode, credential.registration, credential.source) == result


def test_a_token_file_that_is_missing_means_a_first_claim_only_while_claiming(tmp_path: Path) -> None:
    source = TokenSource(path=tmp_path / "tokens" / "alpha")
    assert Credential(OPEN, FREE, source).present({}, claiming=True) is None
    assert (tmp_path / "tokens").is_dir(), "it was proven that the file can be written"
    with pytest.raises(TokenFileMissing):
        Credential(OPEN, FREE, source).present({}, claiming=False)


def test_a_variable_that_is_not_set_is_an_error_also_while_claiming() -> None:
    with pytest.raises(TokenUnavailable):
        Credential(OPEN, FREE, OLD).present({}, claiming=True)


def test_a_token_that_was_made_goes_where_tokens_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "alpha.token"
    kept = Credential(NONE, FREE, TokenSource(path=file)).keep("magt_v1_x")
    assert (kept.mode, file.read_text()) == (OPEN, "magt_v1_x\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for source in (None, OLD, TokenSource(inline=Secret("old"))):
        kept = Credential(BEARER, FREE, source).keep("magt_v1_x")
        assert kept.source == TokenSource(inline=Secret("magt_v1_x"))


def test_a_given_token_goes_into_the_file_named_with_it(tmp_path: Path) -> None:
    flags = CredentialFlags(token=Secret("given"), token_path=tmp_path / "t")
    credential = credential_for(flags, None)
    assert credential.present({}, claiming=False) == "given"
    credential.store_given()
    assert (tmp_path / "t").read_text() == "given\n"
    assert credential.change(tmp_path).token is None


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/agents/alpha/.moltnet/alpha.token", "alpha.token"),
        ("/agents/alpha/alpha.token", "../alpha.token"),
        ("/run/secrets/alpha", "/run/secrets/alpha"),
    ],
)
def test_a_token_file_in_the_workspace_is_written_relative(path: str, written: str) -> None:
    change = Credential(BEARER, DISABLED, TokenSource(path=Path(path))).change(Path("/agents/alpha/.moltnet"))
    assert change.token_path == written


def test_nothing_about_a_credential_shows_its_token() -> None:
    flags = CredentialFlags(token=Secret("hunter2"))
    assert "hunter2" not in repr((flags, credential_for(flags, None)))
