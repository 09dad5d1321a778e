"""Compressing large answers, off the event loop where it would hold up others.

Compression tells the length of what two texts share, so an answer must never hold a secret beside text that somebody
else chose (the BREACH attack). Only answers to ``GET`` that may be kept are compressed: none of them repeats the
request, and none holds a credential. The answer that hands out an agent's token is one to ``POST``.
"""

import zlib
from typing import Final

import attrs
import trio

from moltnet.protocol import limits

# The default level makes a page 6 % smaller and takes almost twice as long.
LEVEL: Final = 1
_GZIP: Final = zlib.MAX_WBITS + 16

_COMPRESSIBLE: Final = frozenset({"application/json", "application/yaml", "image/svg+xml"})


def is_compressible(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in _COMPRESSIBLE or (media_type.startswith("text/") and media_type != "text/event-stream")


def gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


@attrs.define(eq=False)
class Compressor:
    """Compresses for all requests of a server."""

    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(limits.COMPRESSION_THREADS))

    async def compress(self, body: bytes) -> bytes:
        """``body`` as gzip. A small one at once; a large one waits for a thread, and once begun is finished even if
        cancelled."""
        if len(body) <= limits.MAX_INLINE_COMPRESSION_BYTES:
            return gzip(body)
        return await trio.to_thread.run_sync(gzip, body, limiter=self._threads)
