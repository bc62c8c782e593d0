"""Put stored translations of FLORES dev through `dsbuild translate --engine memory` and count what the default checks keep.

References must pass (>= 99 %), a broken system's output must not (>= 95 % rejected). The thresholds were not chosen on FLORES.
Needs the stored outputs in a folder (`--data`, one folder `en-LANG` per direction); without it the bench says "not run".

    python bench/flores.py [--data DIR] [--format json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CASES = (
    ("reference", ("hi", "mr", "ta", "te", "bn")),
    ("nllb", ("hi", "mr", "ta")),
    ("opusmt", ("hi", "mr")),
)


def lines(path: Path) -> list[str]:
    """The lines of a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as handle:
        return [line.rstrip("\n") for line in handle]


def judge(data: Path, system: str, lang: str, work: Path) -> dict[str, Any]:
    """Run the build on one system's output; returns rows in, kept, dropped, failed and the reasons."""
    folder = data / f"en-{lang}"
    source = lines(folder / "flores-dev.en.gz")
    target = lines(folder / (f"flores-dev.{lang}.gz" if system == "reference" else f"flores-dev.{system}.{lang}.gz"))
    (work / "set/qrels").mkdir(parents=True)
    with (
        (work / "memory.jsonl").open("w", encoding="utf-8") as memory,
        (work / "set/corpus.jsonl").open("w", encoding="utf-8") as corpus,
    ):
        for number, (ours, theirs) in enumerate(zip(source, target, strict=True)):
            corpus.write(json.dumps({"_id": f"s{number}", "title": "", "text": ours}) + "\n")
            row = {"src": ours, "tgt": theirs, "src_lang": "en", "tgt_lang": lang}
            memory.write(json.dumps(row, ensure_ascii=False) + "\n")
    (work / "set/queries.jsonl").write_text('{"_id": "q", "text": "any"}\n')
    # A training split: in an evaluation set judged rows would be kept and only flagged.
    (work / "set/qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\nq\ts0\t1\n")
    done = subprocess.run(
        [sys.executable, "-m", "dsbuild", "translate", "--src", f"beir:{work / 'set'}", "--src-lang", "en", "--langs", lang, "--only", "corpus",
         "--engine", "memory", "--set", f"engine.file={work / 'memory.jsonl'}", "--set", "engine.unit=passage", "--out", str(work / "out"),
         "--store", str(work / "store"), "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)["languages"][lang]
    return {
        "system": system,
        "lang": lang,
        **{key: found[key] for key in ("in", "kept", "dropped", "failed", "reasons")},
    }


def main() -> int:
    """Judge every stored system and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/parallel/flores_wmt14_mt_outputs"))
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    if not options.data.is_dir():
        print("not run: no stored FLORES outputs (--data)")
        return 0
    rows = []
    for system, langs in CASES:
        for lang in langs:
            with tempfile.TemporaryDirectory(prefix="dsbuild-flores-") as folder:
                rows.append(judge(options.data, system, lang, Path(folder)))
    if options.format == "json":
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    print("| system | language | in | kept | lost | reasons |\n|---|---|---:|---:|---:|---|")
    for row in rows:
        reasons = ", ".join(f"{rule} {number}" for rule, number in row["reasons"].items()) or "-"
        print(
            f"| {row['system']} | {row['lang']} | {row['in']} | {row['kept']} | {1 - row['kept'] / row['in']:.1%} | {reasons} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
