"""Every bound on configuration files and the secrets in them.

Limits of the wire live in ``moltnet.protocol.limits``, those of a running bridge in ``bridge.limits``.
"""

from typing import Final

# A file of a thousand rooms with a hundred members each is about 1 MiB; a larger one is not a configuration.
MAX_CONFIG_BYTES: Final = 4 * 1024 * 1024
# Values after YAML aliases are expanded: nine lines of aliases can stand for a billion values.
MAX_CONFIG_VALUES: Final = 500_000
# The deepest key that a file can hold is six levels down; the parsers recurse once or more per level.
MAX_CONFIG_DEPTH: Final = 32
# One token and a newline; anything larger is the wrong file.
MAX_TOKEN_FILE_BYTES: Final = 8 * 1024

# `openssl rand -hex 8` and shorter passwords fall below; every generator that the documentation names is above.
MIN_TOKEN_CHARACTERS: Final = 16
MAX_TOKEN_CHARACTERS: Final = 1024
# Sixteen random hexadecimal digits hold fewer than six different ones about once in ten thousand.
MIN_TOKEN_DISTINCT_CHARACTERS: Final = 6

DEFAULT_EVENT_RETENTION_SECONDS: Final = 7 * 24 * 3600
# Below an hour every agent that restarts would lose its place; ten years is "keep everything".
MIN_EVENT_RETENTION_SECONDS: Final = 3600
MAX_EVENT_RETENTION_SECONDS: Final = 10 * 366 * 24 * 3600

# Of a rate or a cap in ``server.limits``: more than any server can do.
MAX_LIMIT: Final = 1_000_000_000

# Rooms that one pairing shares by name: more is "all of them", which needs no list.
MAX_PAIRED_ROOMS: Final = 1024

DEFAULT_PORT: Final = 8787
MAX_PORT: Final = 65535

# A writer of a client configuration holds its lock for one read and one write; longer means that it is stuck.
LOCK_SECONDS: Final = 5.0
LOCK_RETRY_SECONDS: Final = 0.02

# Directories that the search for a client configuration climbs; a path of the system is far shorter.
MAX_SEARCH_LEVELS: Final = 64
# Names that an error message offers; more do not help whoever reads it.
MAX_LISTED_CHOICES: Final = 10
