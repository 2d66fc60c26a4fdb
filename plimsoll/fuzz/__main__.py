"""``python -m plimsoll.fuzz``: a campaign."""

import sys

from plimsoll.fuzz.campaign import main

if __name__ == "__main__":
    sys.exit(main())
