"""The identity by which a gateway knows this attachment: an Ed25519 key in the state directory (runtimes §3.1).

What is signed is `frames.signed_text`. A gateway on another host has to approve the key once.
"""

import base64
import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from bridge import limits
from bridge.runtimes.openclaw.frames import Challenge, signed_text
from bridge.runtimes.runtime import RuntimeMisconfigured
from moltnet.config.files import read_file, write_private

FILE_NAME: Final = "openclaw-device.pem"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@attrs.frozen
class DeviceKey:
    """One device. `id` is how the gateway's operator sees it."""

    _key: Ed25519PrivateKey = attrs.field(repr=False)

    @property
    def id(self) -> str:
        return hashlib.sha256(self._key.public_key().public_bytes_raw()).hexdigest()

    def proof(self, challenge: Challenge, token: str) -> Mapping[str, Any]:
        """The `device` of a `connect`, good for this challenge only."""
        signature = self._key.sign(signed_text(self.id, challenge, token).encode())
        return {
            "id": self.id,
            "publicKey": _base64url(self._key.public_key().public_bytes_raw()),
            "signature": _base64url(signature),
            "signedAt": challenge.time_ms,
            "nonce": challenge.nonce,
        }


def open_device_key(path: Path) -> DeviceKey:
    """The key in the file at `path`, which is made, readable by us only, if it does not exist.

    Raises:
        RuntimeMisconfigured: it cannot be read or written, or is no private key. A new one in its place would be a
            device that nobody has approved.
    """
    try:
        file = read_file(path, max_bytes=limits.MAX_DEVICE_KEY_BYTES)
        if file.is_symlink or path.lstat().st_mode & _OTHERS:
            raise RuntimeMisconfigured(f"{path} must be a file that only its owner may read (chmod 600)")
        key = load_pem_private_key(file.data, password=None)
    except FileNotFoundError:
        return _make_device_key(path)
    except OSError as error:
        raise RuntimeMisconfigured(f"device key {path}: {error.strerror}") from error
    except ValueError as error:
        raise RuntimeMisconfigured(f"{path} holds no private key; restore it, or remove it and pair again") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RuntimeMisconfigured(f"{path} holds a key of another kind than Ed25519")
    return DeviceKey(key)


def _make_device_key(path: Path) -> DeviceKey:
    key = Ed25519PrivateKey.generate()
    try:
        write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        raise RuntimeMisconfigured(f"device key {path}: {error.strerror}") from error
    return DeviceKey(key)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
