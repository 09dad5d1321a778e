"""The one content coding that is asked for: gzip, never trusted with more memory than a plain answer gets."""

import zlib
from typing import Final

IDENTITY: Final = "identity"
GZIP: Final = "gzip"
_WITH_HEADER: Final = zlib.MAX_WBITS + 16


class BadCompression(Exception):
    """The bytes are not one complete gzip member."""


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """What ``data`` was, or its first ``max_bytes + 1`` bytes if it was longer: a few KiB can become gigabytes.

    Raises:
        BadCompression: it is no gzip, ends too early, or something follows.
    """
    inflater = zlib.decompressobj(_WITH_HEADER)
    try:
        plain = inflater.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise BadCompression(str(error)) from error
    if len(plain) <= max_bytes and (not inflater.eof or inflater.unused_data):
        raise BadCompression("incomplete, or followed by something else")
    return plain
