"""How fast phonograph is: alone, beside its peers, and from one instruction set to the next."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

# What is said of machine and commit in a stored result is the same as in the claims' verdicts, and comes from there.
sys.path.append(str(CHECKOUT / "tests"))
