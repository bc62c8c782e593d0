"""Filters against their peers: `python bench/filters.py near-duplicates|rules|bitext|lid [--quick] [--format json]`.

Each compares CPU seconds for the same texts in the same run, alternating, and gives medians; `ratio` is how many times faster
dsbuild is than the installed, pinned peer at its best documented setting, end to end.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

BENCHES = {"near-duplicates": "near_duplicates", "rules": "rules", "bitext": "bitext", "lid": "lid"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=sorted(BENCHES))
    parser.add_argument("--quick", action="store_true", help="a toy size that measures nothing")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args(argv)
    found = importlib.import_module(BENCHES[options.bench]).run(quick=options.quick)
    if options.format == "json":
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
