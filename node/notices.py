"""What is odd about a node's configuration and no error: told when the node starts, once for each.

What makes a file invalid is in `node.config` and `bridge.attachment_rules`; here is what today's machine lacks.
"""

from collections.abc import Iterable, Iterator, Mapping

from bridge.config import AttachmentConfig
from bridge.programs import program_problem
from bridge.sandbox import runtime_environment
from node.config import NodeConfig


def node_notices(config: NodeConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each oddity. Blocks on the file system, briefly."""
    if not config.attachments:
        yield f"no attachments in {config.source}, nothing to do"
    for attachment in config.attachments:
        for notice in attachment_notices(attachment, environ):
            yield f"{attachment.agent.id}: {notice}"


def attachment_notices(config: AttachmentConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """What keeps one agent from working as its configuration says."""
    runtime = config.runtime
    if runtime.workspace_path is not None and not runtime.workspace_path.is_dir():
        yield f"workspace_path {runtime.workspace_path} is not a directory"
    if (problem := program_notice(config, environ)) is not None:
        yield problem
    for name in runtime.env:
        if name not in environ:
            yield f"runtime.env names {name}, which is not set"


def program_notices(attachments: Iterable[AttachmentConfig], environ: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each agent whose program is missing. The configuration may be meant for another machine."""
    for attachment in attachments:
        if (problem := program_notice(attachment, environ)) is not None:
            yield f"{attachment.agent.id}: {problem}"


def program_notice(config: AttachmentConfig, environ: Mapping[str, str]) -> str | None:
    """Why the program of an agent cannot be started, as far as can be seen without starting it."""
    runtime = config.runtime
    if not runtime.command:
        return None
    # As it is looked for when a turn starts: beside ours, too.
    search_path = runtime_environment(environ, given={}).get("PATH")
    problem = program_problem(runtime.command[0], runtime.workspace_path or config.state_dir, search_path)
    return None if problem is None else f"runtime kind {runtime.kind} cannot start: {problem}"
