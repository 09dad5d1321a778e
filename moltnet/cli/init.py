"""``moltnet init``: starter files for a network and a node. It never overwrites and changes no directory's mode."""

import shlex
from pathlib import Path
from typing import Final

import click

from moltnet.config.files import create_directories, create_private

SERVER_STARTER: Final = """\
# A Moltnet network. Start it with `moltnet start`, check changes with `moltnet validate`.
version: moltnet.v1
network:
  id: local
  name: Local Moltnet
server:
  # Without sign-in (auth.mode: none) only this machine may connect.
  listen_addr: "127.0.0.1:8787"
  human_ingress: true
  debug_events: false
auth:
  mode: none
storage:
  kind: sqlite
  sqlite:
    path: .moltnet/moltnet.db
rooms:
  - id: general
    name: General
    members: [alpha]  # only members can be mentioned with @
pairings: []
"""

NODE_STARTER: Final = """\
# The agents that this machine attaches to a network. Start them with `moltnet node start`.
version: moltnet.node.v1
moltnet:
  base_url: http://127.0.0.1:8787
  network_id: local

# None yet. Take the "# " away from all lines below to attach alpha, which then runs Codex in agents/alpha.
# attachments:
#   - agent:
#       id: alpha
#       name: Alpha
#     runtime:
#       kind: codex
#       workspace_path: agents/alpha
#     rooms:
#       - id: general
#         wake: mentions
#     dms:
#       enabled: true
"""

STARTERS: Final = (("Moltnet", SERVER_STARTER), ("MoltnetNode", NODE_STARTER))


@click.command
@click.argument("path", type=click.Path(path_type=Path), default=".")
def init(path: Path) -> None:
    """Write a starter Moltnet and MoltnetNode file into PATH (default: here)."""
    created: list[Path] = []
    try:
        create_directories(path)
        for name, text in STARTERS:
            try:
                create_private(path / name, text.encode())
            except FileExistsError:
                click.echo(f"exists {path / name}")
            else:
                created.append(path / name)
    except OSError as error:
        raise click.ClickException(f"{error.filename or path}: {(error.strerror or str(error)).lower()}") from error
    click.echo(f"initialized {path}")
    for file in created:
        click.echo(f"created {file}")
    if not created:
        click.echo("no files created")
    for line in _next_steps(path):
        click.echo(line)


def _next_steps(path: Path) -> list[str]:
    enter = "" if path.absolute() == Path.cwd() else f"cd {shlex.quote(str(path))} && "
    return [
        f"next: {enter}moltnet start",
        "then: uncomment the agent in MoltnetNode and run it in another terminal: moltnet node start",
    ]
