"""The shared projection gold as pairs: one cell for each set and language, read from `shared/data/projection`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dsbuild.project.projector import Links, Parallel
from dsbuild.spans import Labelled, Piece, Span
from dsbuild.tokens import joined, located, spans_of

DATA = Path(__file__).parents[2] / "shared/data/projection"


@dataclass(frozen=True)
class Cell:
    """A set in one language: pairs, gold of the target side, and whether gold spans are told apart by id. more: further parallel texts."""

    name: str
    pairs: list[Parallel]
    gold: list[Labelled]
    by_id: bool = False
    more: tuple[tuple[str, str], ...] = ()


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode("utf-8")


def _ranges(tags: list[str]) -> list[tuple[int, int, str]]:
    """Labelled token ranges; a tag that no scheme knows counts as O, an I- that continues nothing begins a span."""
    found: list[tuple[int, int, str]] = []
    begun: tuple[int, str] | None = None
    for place, tag in enumerate([*tags, "O"]):
        kind, _, label = tag.partition("-")
        if begun and not (kind == "I" and label == begun[1]):
            found.append((begun[0], place, begun[1]))
            begun = None
        if kind in ("B", "I") and label and begun is None:
            begun = (place, label)
    return found


def _blocks(path: Path) -> Iterator[tuple[dict[str, str], list[list[str]]]]:
    facts: dict[str, str] = {}
    rows: list[list[str]] = []
    for line in [*_text(path).split("\n"), ""]:
        if not line.strip():
            if rows:
                yield facts, rows
            facts, rows = {}, []
        elif line.startswith("# ") and " = " in line:
            name, _, value = line[2:].partition(" = ")
            facts[name] = value
        elif not line.startswith("#") or "\t" in line or " " in line:
            rows.append(line.split("\t") if "\t" in line else line.split(" "))


def ote(split: str, aligner: str = "awesome", keep_links: bool = True) -> Cell:
    """Opinion targets en-es with ready links: awesome, simalign or fast_align."""
    names = {
        "awesome": f"awesome.{split}",
        "simalign": f"simalign.{split}.itermax",
        "fast_align": f"fast_align.{split}.grow_diag_final-and",
    }
    base = DATA / "ote_en2es"
    links = _text(base / f"automatic_projections/alignments/en2es/DeepL.50000.{names[aligner]}.talp.gz").splitlines()
    sources = list(_blocks(base / f"original/en/en.absa.{split}.tsv.gz"))
    targets = list(_blocks(base / f"manual_projections/en2es/DeepL.Iker.{split}.tsv.gz"))
    assert len(links) == len(sources) == len(targets)
    pairs, gold = [], []
    for number, ((_, src), (_, tgt), line) in enumerate(zip(sources, targets, links, strict=True)):
        made = []
        for rows, lang in ((src, "en"), (tgt, "es")):
            text, places = joined([row[0] for row in rows])
            made.append(
                (Labelled(f"s{number}", text, lang, spans_of(_ranges([row[1] for row in rows]), places)), places)
            )
        (source, source_places), (target, target_places) = made
        pairs_of = [tuple(map(int, link.split("-"))) for link in line.split()]
        held = Links(tuple(source_places[i] for i, _ in pairs_of), tuple(target_places[j] for _, j in pairs_of))
        pairs.append(Parallel(source, target.text, "es", links=held if keep_links else None))
        gold.append(target)
    return Cell(f"ote-{split}-es", pairs, gold)


def xquad(lang: str) -> Cell:
    """Answers of XQuAD from English; the questions are further parallel text."""
    both = []
    for code in ("en", lang):
        items, questions = [], []
        for article in json.loads(_text(DATA / f"xquad/xquad.{code}.json.gz"))["data"]:
            for paragraph in article["paragraphs"]:
                spans = []
                for one in paragraph["qas"]:
                    questions.append(one["question"])
                    start = one["answers"][0]["answer_start"]
                    spans.append(Span(one["id"], "answer", ((start, start + len(one["answers"][0]["text"])),)))
                items.append(Labelled(f"p{len(items)}", paragraph["context"], code, tuple(spans)))
        both.append((items, questions))
    (sources, asked), (gold, asked_there) = both
    pairs = [Parallel(source, target.text, lang) for source, target in zip(sources, gold, strict=True)]
    return Cell(f"xquad-{lang}", pairs, gold, True, tuple(zip(asked, asked_there, strict=True)))


def uner() -> Cell:
    """Names of the parallel treebanks en-de; rows are paired by their id."""
    both: list[dict[str, Labelled]] = []
    for code in ("en", "de"):
        items = {}
        for facts, rows in _blocks(DATA / f"uner_pud/{code}_pud-ud-test.iob2.gz"):
            text = facts["text"]
            places = _located(text, [row[1] for row in rows])
            name = facts["sent_id"]
            items[name] = Labelled(name, text, code, spans_of(_ranges([row[2] for row in rows]), places))
        both.append(items)
    shared = [name for name in both[0] if name in both[1]]
    return Cell(
        "uner-de",
        [Parallel(both[0][name], both[1][name].text, "de") for name in shared],
        [both[1][name] for name in shared],
    )


def _located(text: str, tokens: list[str]) -> list[Piece]:
    try:
        return located(text, tokens)
    except Exception:  # tokens that were split off a contraction: each is looked for from where the last one ended
        places, at = [], 0
        for token in tokens:
            found = text.find(token, at)
            if found < 0:
                places.append((at, min(len(text), at + 1)))
                continue
            places.append((found, found + len(token)))
            at = found + len(token)
        return places


def xsid(lang: str, split: str = "test") -> Cell:
    """Slots en-{de,it}; rows are paired in order."""
    both = []
    for code in ("en", lang):
        items = []
        for _facts, rows in _blocks(DATA / f"xsid/{code}.{split}.conll.gz"):
            text, places = joined([row[1] for row in rows])
            items.append(Labelled(str(len(items)), text, code, spans_of(_ranges([row[-1] for row in rows]), places)))
        both.append(items)
    pairs = [Parallel(source, target.text, lang) for source, target in zip(both[0], both[1], strict=True)]
    return Cell(f"xsid-{split}-{lang}", pairs, both[1])


CELLS: dict[str, Callable[[], Cell]] = {
    "ote-train-es": lambda: ote("train"), "ote-test-es": lambda: ote("test"),
    **{f"xquad-{lang}": (lambda lang=lang: xquad(lang)) for lang in ("es", "hi", "de")},
    "uner-de": uner,
    **{f"xsid-{split}-{lang}": (lambda lang=lang, split=split: xsid(lang, split)) for split in ("test", "valid") for lang in ("de", "it")},
}  # fmt: skip
