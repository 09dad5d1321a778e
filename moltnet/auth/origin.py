"""Which web pages may open a WebSocket to us (attach protocol §1)."""

import attrs


@attrs.frozen
class OriginPolicy:
    """Exact ``scheme://host[:port]`` origins. Programs other than browsers send none and are let in."""

    allowed: frozenset[str]

    def permits(self, origin: str | None) -> bool:
        return origin is None or origin.rstrip("/") in self.allowed
