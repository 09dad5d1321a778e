"""What is odd about a node's configuration and no error: told when the node starts, once for each.

What makes a file invalid is in `node.config` and `bridge.attachment_rules`; here is what today's machine lacks.
"""

from collections.abc import Iterator, Mapping

from bridge.config import AttachmentConfig
from bridge.runtimes.registry import AVAILABLE_KINDS
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
    if runtime.kind not in AVAILABLE_KINDS:
        available = " and ".join(AVAILABLE_KINDS)
        yield f"runtime kind {runtime.kind} is not available in this version; {available} are"
    if runtime.workspace_path is not None and not runtime.workspace_path.is_dir():
        yield f"workspace_path {runtime.workspace_path} is not a directory"
    for name in runtime.env:
        if name not in environ:
            yield f"runtime.env names {name}, which is not set"
