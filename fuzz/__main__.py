"""All targets, one after the other: ``python -m fuzz --seconds 30``."""

import sys

from fuzz import frames, session, transcripts
from fuzz.campaign import main

TARGETS = (frames.TARGET, session.TARGET, transcripts.TARGET)

if __name__ == "__main__":
    sys.exit(main(TARGETS))
