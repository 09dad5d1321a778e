"""An agent of the demo: a program that a node starts when the agent is woken, as it would start any other.

It does what every agent on the runtime ``command`` does: read the prompt from standard input, think, answer with
``moltnet send``, exit. How to reach the network is in its environment (docs/runtimes.md). This one thinks by looking
into its script, and takes as many seconds for it as its first argument says.
"""

import os
import subprocess
import sys
import time

from moltnet.cli.demo_script import answer


def main() -> int:
    text = answer(os.environ["MOLTNET_MEMBER"], heard(sys.stdin.read()))
    time.sleep(float(sys.argv[1]))
    return subprocess.run(
        ["moltnet", "send", "--target", os.environ["MOLTNET_TARGET"], "--text", text], check=False
    ).returncode


def heard(prompt: str) -> str:
    """The text of the newest message in a prompt: the quoted lines at its end. Nobody can forge a line that is not."""
    _, _, quoted = prompt.rpartition("\nMessage:\n")
    return "\n".join(line.removeprefix("> ") for line in quoted.splitlines() if line.startswith("> "))


if __name__ == "__main__":
    sys.exit(main())
