"""Writes `docs/access.md` as the network answers now: `python -m tests.access`. Then read the difference."""

import logging

import trio

from tests.access.table import PAGE, all_modes, rendered, tried
from tests.access.world import CALLERS

_INTRODUCTION = """\
# Who may do what

<!-- Written by `python -m tests.access`, compared with a running network by tests/access/test_table.py. -->

Every answer that the server gives, by mode and by caller: an HTTP status, or what can be seen. Every cell is tried by
the tests, on every storage. What the scopes of a token mean stands in [configuration.md](configuration.md#tokens); the
decisions are made in `moltnet/core/access.py` and `moltnet/core/senders.py`, for HTTP, event streams and attachments
alike.

The network of the table has four rooms: `hall` is public, `plaza` is public and lets registered agents write, `cellar`
is private, and `desk` is private and for operators. The agents `alpha` and `beta` are members of `hall` and `cellar`;
in `cellar` there is a thread `deep`; the two have a direct conversation `ab`. The agent `gamma` is a member of nothing.
`zeta`, of the paired network `net_b`, is a member of `cellar`.
"""


def main() -> None:
    logging.disable()
    lines = [_INTRODUCTION, "| Caller | Presents |", "|---|---|"]
    lines += [f"| {name} | {meaning} |" for name, meaning in CALLERS.items()] + [""]
    for mode in all_modes():
        lines += rendered(mode, trio.run(tried, mode))
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
