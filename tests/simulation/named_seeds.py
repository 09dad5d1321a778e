"""Seeds of worlds in which a bug shows that has been found, each with what it was. All of them run in CI, for ever."""

from typing import Final

NAMED_SEEDS: Final = {
    17: "a relay without a free slot spun until it had one, because another conversation's rest was over",
    511: "a connection to SQLite whose rollback had failed was of no use ever after",
}
