"""All targets, one after the other: ``python -m fuzz --seconds 30``."""

import sys

from fuzz.campaign import main
from fuzz.targets import all_targets

if __name__ == "__main__":
    sys.exit(main(all_targets()))
