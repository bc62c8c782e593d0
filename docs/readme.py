"""Run the commands that README.md and docs/ show, and write or compare their output.

A block that starts with ```console and a line `$ dsbuild …` is run, in the order of the pages, all in one new folder; what stands below
the command is its standard output. Figures with a decimal point are speeds and times: they are written but not compared.

    python docs/readme.py --write | --check
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"(?m)^```console\n\$ (dsbuild [^\n]*)\n(.*?)^```$", re.DOTALL)
VOLATILE = re.compile(r" *\d[\d,]*\.\d+\b")


def run(command: str, folder: Path) -> str:
    """The standard output of a command; a command that fails by more than a usage error stops the script."""
    arguments = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "150"}
    )
    if done.returncode not in (0, 2):
        raise SystemExit(f"{command}: exit {done.returncode}\n{done.stderr}")
    text = done.stdout if done.returncode == 0 else done.stderr
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def same(shown: str, real: str) -> bool:
    """Whether two outputs agree but for volatile figures and the widths that follow from them."""
    return [" ".join(VOLATILE.sub(" #", line).split()) for line in shown.splitlines()] == [
        " ".join(VOLATILE.sub(" #", line).split()) for line in real.splitlines()
    ]


def main() -> int:
    """Write or check every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for page in PAGES:
            text = page.read_text("utf-8")
            pieces, position = [], 0
            for block in BLOCK.finditer(text):
                command, shown = block.groups()
                real = run(command, Path(name))
                if not same(shown, real):
                    wrong += 1
                    if options.check:
                        print(f"{page.relative_to(ROOT)}: `{command}` prints something else now:")
                        print(
                            "".join(
                                difflib.unified_diff(shown.splitlines(True), real.splitlines(True), "shown", "real")
                            )
                        )
                    else:
                        shown = real
                pieces += [text[position : block.start()], f"```console\n$ {command}\n{shown}```"]
                position = block.end()
            if options.write:
                page.write_text("".join([*pieces, text[position:]]), "utf-8")
    print(f"{wrong} block(s) {'differ' if options.check else 'written again'}")
    return 1 if wrong and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
