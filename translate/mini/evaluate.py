"""Scores of the packaged model and its card: `python -m dsbuild.translate.mini.evaluate [--sample | --card]`."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from dsbuild.engine import Output, Request
from dsbuild.text import sentences
from dsbuild.translate.mini import corpus
from dsbuild.translate.mini.corpus import HERE, LANGS
from dsbuild.translate.mini_engine import LICENSE, MiniEngine

NAMES = {"hi": "Hindi", "mr": "Marathi", "ta": "Tamil"}
TITLES = {"grammar": "held-out grammar", "hand": "hand-written", "flores": "FLORES dev"}
SEED = 20
N_SHOWN = 12
N_READ = 100


@dataclass(frozen=True, slots=True)
class Scores:
    """One set in one language: chrF2 and BLEU, sentences, exact outputs and outputs that failed."""

    set_name: str
    lang: str
    n: int
    chrf: float
    bleu: float
    exact: int
    failed: int


def engine_of(folder: Path, *, compute_type: str = "int8", **options: Any) -> MiniEngine:
    """The engine on the files of a folder."""

    class Placed(MiniEngine):
        pass

    Placed.folder, Placed.compute_type = folder, compute_type
    return Placed(**options)


def translate(engine: MiniEngine, texts: Sequence[str], lang: str) -> list[Output]:
    """Outputs in order, decoded in batches of like length."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    batches = [order[start : start + 64] for start in range(0, len(order), 64)]
    outputs: dict[int, Output] = {}
    for place, found in engine.translate_batches(
        [[Request(texts[index], "en", lang) for index in batch] for batch in batches]
    ):
        outputs.update(zip(batches[place], found, strict=True))
    return [outputs[index] for index in range(len(texts))]


def measure(
    engine: MiniEngine, set_name: str, sources: Sequence[str], references: dict[str, list[str]]
) -> tuple[list[Scores], dict[str, str]]:
    """Scores per language and sacrebleu's signatures. An output that failed counts as what it says, if anything."""
    import sacrebleu

    chrf, bleu = sacrebleu.CHRF(), sacrebleu.BLEU()
    rows = []
    for lang, wanted in references.items():
        outputs = translate(engine, sources, lang)
        texts = [output.text for output in outputs]
        exact = sum(text == want for text, want in zip(texts, wanted, strict=True))
        failed = sum(output.finish != "stop" for output in outputs)
        found = (chrf.corpus_score(texts, [wanted]).score, bleu.corpus_score(texts, [wanted]).score)
        rows.append(Scores(set_name, lang, len(texts), *found, exact, failed))
    return rows, {"chrF2": str(chrf.get_signature()), "BLEU": str(bleu.get_signature())}


def sets(heldout: Path | None, parallel: Path | None) -> dict[str, tuple[list[str], dict[str, list[str]]]]:
    """The measuring sets that are there: sources, and references by language."""
    found: dict[str, tuple[list[str], dict[str, list[str]]]] = {}
    tables = {
        "grammar": list(corpus.read_table(heldout, "grammar")) if heldout and heldout.exists() else [],
        "hand": corpus.read_handwritten()[1],
    }
    for name, groups in tables.items():
        if groups:
            found[name] = (
                [group.en for group in groups],
                {lang: [group.targets[lang] for group in groups] for lang in LANGS},
            )
        else:
            print(f"no {TITLES[name]} sentences: not measured")
    flores = parallel / "flores_wmt14_mt_outputs" if parallel else None
    if flores and flores.is_dir():
        read = {
            lang: (
                _lines(flores / f"en-{lang}" / "flores-dev.en.gz"),
                _lines(flores / f"en-{lang}" / f"flores-dev.{lang}.gz"),
            )
            for lang in LANGS
        }
        found["flores"] = (read["hi"][0], {lang: texts for lang, (_, texts) in read.items()})
    else:
        print(f"no FLORES under {parallel}: not measured")
    return found


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def shown(
    engine: MiniEngine, measuring: dict[str, tuple[list[str], dict[str, list[str]]]]
) -> dict[str, list[dict[str, str]]]:
    """Twelve outputs per language, half of each of the project's own sets, chosen by seed."""
    found: dict[str, list[dict[str, str]]] = {}
    own = [name for name in ("hand", "grammar") if name in measuring]
    for lang in LANGS:
        random = Random(f"{SEED} {lang}")
        found[lang] = []
        for name in own:
            sources, references = measuring[name]
            chosen = sorted(random.sample(range(len(sources)), min(len(sources), N_SHOWN // len(own))))
            outputs = translate(engine, [sources[index] for index in chosen], lang)
            found[lang] += [{"set": TITLES[name], "source": sources[index], "output": output.text, "reference": references[lang][index]}
                            for index, output in zip(chosen, outputs, strict=True)]  # fmt: skip
    return found


def write_card(folder: Path, out: Path, heldout: Path | None, parallel: Path | None) -> Path:
    """Measure the model in `out` and write its card; `folder` holds what training noted."""
    import jinja2

    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    parity = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    measuring = sets(heldout, parallel)
    rows: list[Scores] = []
    signatures: dict[str, str] = {}
    with_int8 = engine_of(out)
    for name, (sources, references) in measuring.items():
        scores, signatures = measure(with_int8, name, sources, references)
        rows += scores
        _print(scores)
    losses: dict[str, float] = {}
    if "hand" in measuring:
        for name in ("spm.model", "words.txt"):
            (folder / "float32" / name).write_bytes((out / name).read_bytes())
        full = engine_of(folder / "float32", compute_type="float32")
        exact, _ = measure(full, "hand", *measuring["hand"])
        full.close()
        small = {row.lang: row.chrf for row in rows if row.set_name == "hand"}
        losses = {row.lang: row.chrf - small[row.lang] for row in exact}
        print("chrF lost by int8:", {lang: round(loss, 2) for lang, loss in losses.items()})
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, autoescape=False, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((HERE / "card.md.jinja").read_text(encoding="utf-8"))
    examples = shown(with_int8, measuring)
    with_int8.close()
    path = out / "card.md"
    text = template.render(
        facts=facts,
        license=LICENSE,
        looks=facts["log"][:-1:5] + facts["log"][-1:],
        parity=parity,
        scores=rows,
        signatures=signatures,
        losses=losses,
        examples=examples,
        names=NAMES,
        titles=TITLES,
        langs=LANGS,
        n_words=_n_known(out),
        known_from=MiniEngine().known_from,
        n_held=corpus.N_HELD_OUT,
    )
    path.write_text(text.strip() + "\n", encoding="utf-8")
    return path


def _print(scores: Sequence[Scores]) -> None:
    for row in scores:
        rates = f"chrF {row.chrf:.1f} BLEU {row.bleu:.1f} exact {row.exact} failed {row.failed}"
        print(f"{TITLES[row.set_name]} {row.lang} ({row.n}): {rates}", flush=True)


def _n_known(out: Path) -> dict[str, int]:
    rows = [line.split("\t")[1:] for line in (out / "words.txt").read_text(encoding="utf-8").splitlines()]
    least = MiniEngine().known_from
    return {lang: sum(int(row[place]) >= least for row in rows) for place, lang in enumerate(LANGS)}


def sample_segments(builders: Path) -> list[str]:
    """The distinct sentences of the shipped sample, in order."""
    found: dict[str, None] = {}
    for name in ("sample_corpus.jsonl", "sample_queries.jsonl"):
        for line in (builders / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line) if line.strip() else {}
            for value in (row.get("title"), row.get("text")):
                if value:
                    found.update(dict.fromkeys(value[start:end] for start, end in sentences(value, "en")))
    return list(found)


def print_sample(out: Path, builders: Path) -> None:
    """One hundred seeded segments of the sample per language with their outputs, for reading."""
    segments = sample_segments(builders)
    engine = engine_of(out)
    for lang in LANGS:
        chosen = Random(f"{SEED} sample {lang}").sample(segments, min(N_READ, len(segments)))
        print(f"\n# {NAMES[lang]}")
        for number, (segment, output) in enumerate(zip(chosen, translate(engine, chosen, lang), strict=True), 1):
            fault = f"  [{output.error}]" if output.error else ""
            print(f"{number}\t{output.finish}\tunknown {output.n_unknown}\t{segment}\n\t\t\t{output.text}{fault}")
    engine.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and with `--card` write the card, or with `--sample` print outputs for reading."""
    parser = argparse.ArgumentParser(prog="python -m dsbuild.translate.mini.evaluate", description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the model")
    parser.add_argument("--folder", type=Path, default=HERE / "training", help="what training left")
    parser.add_argument("--heldout", type=Path, default=None, help="held-out table of the grammar")
    parser.add_argument("--parallel", type=Path, default=Path("../shared/data/parallel"))
    parser.add_argument("--builders", type=Path, default=HERE.parents[1] / "builders")
    parser.add_argument("--sample", action="store_true", help="print 100 segments of the sample per language")
    parser.add_argument("--card", action="store_true", help="write the card anew")
    options = parser.parse_args(argv)
    heldout = options.heldout or options.folder / "generated.tsv.heldout.tsv"
    if options.sample:
        print_sample(options.out, options.builders)
    elif options.card:
        print(write_card(options.folder, options.out, heldout, options.parallel))
    else:
        engine = engine_of(options.out)
        for name, (sources, references) in sets(heldout, options.parallel).items():
            scores, signatures = measure(engine, name, sources, references)
            _print(scores)
            print(signatures)
        engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
