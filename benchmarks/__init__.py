"""Figures, each against a baseline measured in the same run. `make bench` prints them all."""

import sys
from pathlib import Path

# The servers that the tests start are the ones to measure against.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
