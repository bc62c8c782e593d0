"""What `align` reaches on the shared gold: the span rules on ready links, and eflomal trained on the set itself.

    python bench/projection.py ote [--splits train,test]         # opinion targets en-es: every aligner, every rule
    python bench/projection.py sets [--cells xquad-hi,uner-de] [--rules weighted,gap3]   # eflomal, no pretrained model

Exact F1: same code points with white space and punctuation at the edges left aside, label the same. The weights of the rule `weighted` were
fitted on the train file (`fit_span_weights.py`). eflomal learns on the set, on its further parallel text (XQuAD's questions), and for
de, es, it, hi on what `--more` allows: Tatoeba, and for hi the Indian Parallel Corpora.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import projection_cells

from dsbuild.project.align_projector import AlignProjector
from dsbuild.project.projection_evaluation import Answer, evaluate

RULES = ("hull", "strict", "gap1", "gap3", "head", "weighted")
PARALLEL = projection_cells.DATA.parent / "parallel"


def scores(cell: projection_cells.Cell, **options: Any) -> dict[str, Any]:
    """Exact precision, recall and F1, overlap F1, and seconds."""
    with tempfile.TemporaryDirectory() as work:
        if cell.more:
            path = Path(work) / "more.tsv"
            path.write_text("".join(f"{flat(one)}\t{flat(two)}\n" for one, two in cell.more), "utf-8")
            options["parallel"] = str(path)
        projector = AlignProjector(**options)
    started = time.perf_counter()
    projector.fit(cell.pairs)
    rows = []
    for pair, gold, said in zip(cell.pairs, cell.gold, projector.project(cell.pairs), strict=True):
        labels = {span.span_id: span.label for span in pair.source.spans}
        rows.append(
            (
                gold,
                [
                    Answer(one.span_id, labels[one.span_id], one.pieces, one.score, one.outcome, one.reason)
                    for one in said
                ],
            )
        )
    projector.close()
    found = evaluate(rows, cell.by_id)
    return {
        **{name: percent(found["exact"][name]) for name in ("precision", "recall", "f1")},
        "overlap": percent(found["overlap"]["f1"]),
        "head": percent(found["head"]["f1"]),
        "seconds": round(time.perf_counter() - started, 1),
    }


def percent(share: float) -> float:
    """Percent with two digits."""
    return round(100 * share, 2)


def flat(text: str) -> str:
    """On one line, without tabs."""
    return " ".join(text.split())


def more_text(lang: str) -> tuple[tuple[str, str], ...]:
    """Further parallel text: Tatoeba, for hi the Indian Parallel Corpora too."""
    found: list[tuple[str, str]] = []
    code = {"de": "deu", "es": "spa", "hi": "hin", "it": "ita"}[lang]
    base = PARALLEL / "tatoeba_laser"
    names = (f"tatoeba.{code}-eng.eng.gz", f"tatoeba.{code}-eng.{code}.gz")
    if all((base / name).exists() for name in names):
        found += zip(*(lines(base / name) for name in names), strict=True)
    if lang == "hi":
        found += [
            (fields[0], fields[1])
            for line in lines(PARALLEL / "tatoeba_anki_en-hi/hin.txt.gz")
            if len(fields := line.split("\t")) > 1
        ]
        folder = PARALLEL / "indian_parallel_corpora/hi-en"
        for part in ("dev", "devtest", "test"):
            hindi = lines(folder / f"{part}.hi-en.hi.gz")
            for number in range(4):
                found += zip(lines(folder / f"{part}.hi-en.en.{number}.gz"), hindi, strict=True)
    return tuple(dict.fromkeys(found))


def lines(path: Path) -> list[str]:
    """Lines of a gzip file."""
    return gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")


def show(name: str, found: dict[str, Any]) -> None:
    """One line."""
    print(f"{name:44} " + "  ".join(f"{key} {value}" for key, value in found.items()), flush=True)


def main() -> None:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("ote", "sets"))
    parser.add_argument("--splits", default="train,test")
    parser.add_argument("--aligners", default="awesome,simalign,fast_align,eflomal")
    parser.add_argument("--cells", default="xquad-es,xquad-hi,xquad-de,uner-de,xsid-test-de,xsid-test-it")
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument(
        "--more", action="store_true", help="learn from Tatoeba (and for hi the Indian Parallel Corpora) as well"
    )
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="an option of align")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    options = {key: value for key, _, value in (one.partition("=") for one in args.set)}
    table: dict[str, Any] = {}
    if args.part == "ote":
        for split in args.splits.split(","):
            for aligner in args.aligners.split(","):
                own = aligner == "eflomal"
                cell = projection_cells.ote(split, "awesome" if own else aligner, keep_links=not own)
                for rule in args.rules.split(","):
                    found = scores(cell, rule=rule, aligner="eflomal" if own else "links", **options)
                    show(f"ote {split} {aligner} {rule}", found)
                    table[f"ote-{split}/{aligner}/{rule}"] = found
    else:
        for name in args.cells.split(","):
            cell = projection_cells.CELLS[name]()
            if args.more:
                cell = projection_cells.Cell(
                    cell.name, cell.pairs, cell.gold, cell.by_id, (*cell.more, *more_text(cell.pairs[0].tgt_lang))
                )
            for rule in args.rules.split(","):
                found = scores(cell, rule=rule, aligner="eflomal", **options)
                show(f"{name} {rule} ({len(cell.more):,} more)", found)
                table[f"{name}/{rule}"] = found
    if args.out:
        args.out.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
