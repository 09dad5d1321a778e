"""An emulation of PicoClaw's command line (v0.2.9), from the facts about it. Run as a program:

    picoclaw_cli.py agent --session KEY --message TEXT [--model NAME] [-d]

It keeps sessions as the real one does, prints a blank line, a lobster and the answer, and knows these words in a
message: `FAIL` ends it with an error, `SILENT` answers nothing, `SHOW` answers with its environment and what came
earlier.
"""

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser("picoclaw")
    agent = parser.add_subparsers(required=True).add_parser("agent")
    agent.add_argument("-m", "--message", required=True)
    agent.add_argument("-s", "--session", default="cli:default")
    agent.add_argument("--model")
    agent.add_argument("-d", "--debug", action="store_true")
    asked = agent.parse_args(sys.argv[2:])
    settings = Path(os.environ.get("PICOCLAW_CONFIG", Path.home() / ".picoclaw" / "config.json"))
    if not settings.exists():
        print(f"Error: error loading config: open {settings}: no such file or directory", file=sys.stderr)
        return 1
    # Keys that do not begin so are folded into the agent's main session.
    key = asked.session if asked.session.startswith("agent:") else "agent:main:main"
    sessions = Path(os.environ.get("PICOCLAW_HOME", settings.parent)) / "workspace" / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    session = sessions / f"{key.replace(':', '_').replace('/', '_')}.jsonl"
    earlier = session.read_text(encoding="utf-8").splitlines() if session.exists() else []
    with session.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"role": "user", "content": asked.message}) + "\n")
    if "FAIL" in asked.message:
        print("Error: error processing message: LLM call failed: 500", file=sys.stderr)
        return 1
    answer = f"heard {len(asked.message)} characters"
    if "SILENT" in asked.message:
        answer = ""
    elif "SHOW" in asked.message:
        answer = json.dumps({"env": dict(os.environ), "earlier": [json.loads(line)["content"] for line in earlier]})
    print(f"\n\N{LOBSTER} {answer}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
