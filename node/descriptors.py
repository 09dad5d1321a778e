"""How many files and sockets this process may have open.

The server does the same for itself (`moltnet.serving`), where the node can't import it from: it lies above.
"""

import resource
from contextlib import suppress


def allow_many_descriptors() -> int:
    """Raise our limit of open files as far as the system lets us; returns what it then is.

    Each attachment takes two, and each turn five more. The usual soft limit of 1024 protects programs that use
    ``select``, which we don't.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems say "no limit" and do not mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return allowed
