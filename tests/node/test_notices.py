"""What a node says about its configuration when it starts."""

from pathlib import Path

from bridge.config import RuntimeKind
from node.config import NodeConfig
from node.notices import node_notices
from tests.fakes.attachments import attachment_config


def test_each_thing_that_this_machine_lacks_is_told_once(tmp_path: Path) -> None:
    config = attachment_config(
        tmp_path, RuntimeKind.PI, workspace_path=tmp_path / "nothing", env=("HAS_IT", "HAS_IT_NOT")
    )
    node = NodeConfig((config,), tmp_path / "MoltnetNode", tmp_path / "state")
    assert list(node_notices(node, {"HAS_IT": ""})) == [
        "agent-1: runtime kind pi is not available in this version; codex and command are",
        f"agent-1: workspace_path {tmp_path / 'nothing'} is not a directory",
        "agent-1: runtime.env names HAS_IT_NOT, which is not set",
    ]


def test_a_configuration_that_fits_the_machine_has_no_notices(tmp_path: Path) -> None:
    config = attachment_config(tmp_path, env=("HAS_IT",))
    node = NodeConfig((config,), tmp_path / "MoltnetNode", tmp_path / "state")
    assert list(node_notices(node, {"HAS_IT": "x"})) == []


def test_a_node_without_attachments_is_told_which_file_has_none(tmp_path: Path) -> None:
    node = NodeConfig((), tmp_path / "MoltnetNode", tmp_path / "state")
    assert list(node_notices(node, {})) == [f"no attachments in {tmp_path / 'MoltnetNode'}, nothing to do"]
