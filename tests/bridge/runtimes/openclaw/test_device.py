"""The key by which a gateway knows an attachment."""

import base64
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bridge.runtimes.openclaw.device import open_device_key
from bridge.runtimes.openclaw.frames import Challenge, signed_text
from bridge.runtimes.runtime import RuntimeMisconfigured

CHALLENGE = Challenge("nonce", 1_795_149_792_624)


def test_it_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "device.pem"
    first = open_device_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_device_key(path).id == first.id


def test_its_proof_is_what_the_gateway_checks(tmp_path: Path) -> None:
    device = open_device_key(tmp_path / "device.pem")
    proof = device.proof(CHALLENGE, "token")
    public = base64.urlsafe_b64decode(proof["publicKey"] + "=")
    signature = base64.urlsafe_b64decode(proof["signature"] + "==")
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed_text(device.id, CHALLENGE, "token").encode())
    assert proof["id"] == hashlib.sha256(public).hexdigest()
    assert (proof["signedAt"], proof["nonce"]) == (CHALLENGE.time_ms, CHALLENGE.nonce)


def test_a_file_that_is_no_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(RuntimeMisconfigured, match="holds no private key"):
        open_device_key(path)
    assert path.read_text() == "no key"


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    path.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(RuntimeMisconfigured, match="another kind than Ed25519"):
        open_device_key(path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    open_device_key(path)
    path.chmod(0o640)
    with pytest.raises(RuntimeMisconfigured, match="chmod 600"):
        open_device_key(path)


def test_a_key_behind_a_symlink_is_refused(tmp_path: Path) -> None:
    open_device_key(tmp_path / "elsewhere.pem")
    (tmp_path / "device.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(RuntimeMisconfigured, match="only its owner"):
        open_device_key(tmp_path / "device.pem")


def test_a_state_directory_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(RuntimeMisconfigured, match="device key"):
        open_device_key(tmp_path / "state" / "device.pem")
