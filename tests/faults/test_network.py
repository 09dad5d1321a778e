"""The network between a node and its server is slow, lossy, cut, or has a slow resolver: nobody loses anything.

Each scenario runs in namespaces of its own (`inside`), with a wire of our own (`wire`). Where the kernel gives nobody a
network namespace, as in some containers, there is nothing to test with: such a machine says so by
`MOLTNET_TEST_NO_NAMESPACES=1`, and whoever did not say so gets a failure with the reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT
from tests.faults.inside import SCENARIOS

pytestmark = pytest.mark.slow
UNSHARE: Final = ("unshare", "--net", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))
SCENARIO_SECONDS: Final = 110


def why_not() -> str:
    """Why there are no namespaces here; empty if there are."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"there is no {program}: install util-linux and iproute2"
    probe = "ip link set lo up && ip tuntap add dev probe mode tun && unshare --net true"
    finished = subprocess.run([*UNSHARE, "sh", "-c", probe], check=False, capture_output=True, text=True)
    return "" if finished.returncode == 0 else f"no network namespaces: {finished.stderr.strip()}"


@pytest.mark.skipif("MOLTNET_TEST_NO_NAMESPACES" in os.environ, reason="this machine says that it has no namespaces")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_network_that_fails_costs_time_and_nothing_else(name: str, tmp_path: Path) -> None:
    reason = why_not()
    assert not reason, f"{reason}; where that can't be had, set MOLTNET_TEST_NO_NAMESPACES=1 (docs/reliability.md)"
    finished = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.faults.inside", name, str(tmp_path)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=SCENARIO_SECONDS,
    )
    logs = "".join(path.read_text(errors="replace")[-3000:] for path in sorted(tmp_path.glob("*.log")))
    assert finished.returncode == 0, f"{finished.stdout}{finished.stderr}\n{logs}"
