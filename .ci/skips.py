"""Fail on a skipped test whose reason is not listed in `.ci/skips.txt`."""

import re
import sys
from pathlib import Path

allowed = [
    line.strip()
    for line in (Path(__file__).parent / "skips.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
skipped = re.findall(r"^SKIPPED \[\d+\] (\S+?):? (.*)$", Path(sys.argv[1]).read_text(), re.MULTILINE)
unknown = [f"{place}: {reason}" for place, reason in skipped if not any(part in reason for part in allowed)]
for place, reason in skipped:
    print(f"skipped: {place}: {reason}")
for entry in unknown:
    print(f"skip without a listed reason: {entry}")
sys.exit(1 if unknown else 0)
