"""Ports for servers that are started again at the same address, or that somebody must know beforehand."""

import itertools
import os
import socket
from typing import Final

# Below those that the system hands out to whoever takes any: nobody's connection comes in between.
_PORTS: Final = range(10_000, 32_000)
# Processes that test side by side begin at different places.
_numbers: Final = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens. A process gets each once, until all have been used."""
    for number in _numbers:
        port = _PORTS[number % len(_PORTS)]
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the numbers have no end")
