"""What exact search costs: `python bench/constrained.py [--scorer transformers|mini] [--quick] [--format json]`.

Hand-written English-Hindi sentences with one to three words marked; the ways to the best place of the marks, each with the same scorer in the same
run: every admissible place alone, one teacher-forced call each ("one decode per span"); all places of a span in batches, without bounds or sharing;
the search of `constrained`, with `margin` 12 and with 0 (the best place alone, no posterior). Goal: the search at least 5 times faster than one call
a place, same best place.

transformers: a 60M checkpoint of M2M100's shape with random weights, float32; they know no language, so the English sentences are their own
targets, and what bounds leave out says nothing of a trained model. One more way there, on the first sentences: a real decode of each place, token
by token with kept keys and values (`generate` with the one allowed token). mini: the packaged model on CTranslate2 (int8, one thread),
which cannot share what texts have in common; Hindi targets.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import cipher

from dsbuild.project.marked_search import Marks, Query, search
from dsbuild.scoring import BranchScorer, Scored
from dsbuild.text import word_spans
from dsbuild.translate.ct2_scorer import MiniScorer
from dsbuild.translate.mini_engine import FOLDER
from dsbuild.translate.transformers_scorer import TransformersScorer

MARKS, MARGIN, EXACT, GOAL = Marks(), 12.0, 60, 5.0
STEP = 10
# Nats that float32 may lose over a sentence.
ROUNDED = 1e-3


def queries(n: int, *, copied: bool) -> list[Query]:
    """Every 10th hand-written sentence; the span is the words from a third of the way on; copied: the source is its own target."""
    found = []
    with (Path(FOLDER) / "handwritten-a.tsv").open(encoding="utf-8") as lines:
        for row in list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[::STEP]:
            source, target = row["en"], row["en"] if copied else row["hi"]
            src, tgt = word_spans(source, "en"), word_spans(target, "en" if copied else "hi")
            if len(src) < 5 or not target.strip():
                continue
            first = len(src) // 3
            last = min(len(src), first + 1 + len(found) % 3)
            marked = MARKS.around(source, (src[first][0], src[last - 1][1]))
            found.append(Query(marked, source, target, tgt, 3 * (last - first) + 5))
    return found[:n]


def places(query: Query) -> list[tuple[int, int]]:
    """All admissible places."""
    n = len(query.words)
    return [(i, j) for i in range(n) for j in range(i + 1, min(n, i + query.longest) + 1)]


def random_checkpoint(folder: Path, shape: cipher.Shape) -> TransformersScorer:
    """A scorer on a checkpoint of the shape with random weights, spread so that distributions differ."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    cipher.make(folder, shape)
    config = M2M100Config.from_pretrained(folder)
    config.init_std = 0.08
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return TransformersScorer(str(folder))


def decode_seconds(folder: Path, texts: list[tuple[str, str]]) -> float:
    """Seconds of one real decode each: the only allowed next token is the given one."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, src_lang="en", tgt_lang="hi")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    began = time.perf_counter()
    with torch.inference_mode():
        for source, target in texts:
            given = tokenizer(source, text_target=target, return_tensors="pt")
            labels = given.pop("labels")[0].tolist()
            model.generate(
                **given, num_beams=1, do_sample=False, max_new_tokens=len(labels), output_scores=True, return_dict_in_generate=True,
                prefix_allowed_tokens_fn=lambda _, ids, labels=labels: [labels[min(len(ids), len(labels)) - 1]],
            )  # fmt: skip
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scorer", choices=("transformers", "mini"), default="transformers")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder) / "model")
    if options.format == "json":
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:26} {value}")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All ways, one after another."""
    copied = options.scorer == "transformers"
    if copied:
        scorer: Any = random_checkpoint(folder, cipher.TOY if options.quick else cipher.Shape())
    else:
        scorer = MiniScorer(workers=1)

    def ask(texts: Any) -> list[Scored]:
        return scorer.score([one for one, _ in texts], [two for _, two in texts], "en", "hi")

    def branch(source: str, stems: Any, texts: Any, margin: float) -> list[float]:
        return scorer.score_branches(source, stems, texts, margin, "en", "hi")

    sharing = branch if isinstance(scorer, BranchScorer) else None
    given = queries(4 if options.quick else 40, copied=copied)
    ask([(given[0].marked, given[0].target)])

    def text(query: Query, place: tuple[int, int]) -> tuple[str, str]:
        return query.marked, MARKS.around(query.target, (query.words[place[0]][0], query.words[place[1] - 1][1]))

    began = time.perf_counter()
    alone = [{place: ask([text(query, place)])[0].total for place in places(query)} for query in given]
    middle = time.perf_counter()
    for query in given:
        ask([text(query, place) for place in places(query)])
    then = time.perf_counter()
    search(given, ask, MARKS, EXACT, MARGIN, False, sharing)
    end = time.perf_counter()
    again = queries(len(given), copied=copied)
    search(again, ask, MARKS, EXACT, 0.0, False, sharing)
    last = time.perf_counter()
    same = regret = off = 0.0
    for query, every in zip(given, alone, strict=True):
        best = max(every.values())
        chosen = query.posterior()[0][0]
        same += every[chosen] >= best - ROUNDED
        # What another choice costs, in nats: a model in int8 rounds by batch.
        regret = max(regret, best - every[chosen])
        whole = sum(math.exp(total - best) for total in every.values())
        off = max(off, abs(math.exp(every[chosen] - best) / whole - query.posterior()[0][1]))
    n_places = sum(len(every) for every in alone)
    found = {
        "queries": len(given), "places": n_places, "scored": sum(query.n_scored for query in given),
        "alone_s": round(middle - began, 3), "batched_s": round(then - middle, 3), "search_s": round(end - then, 3),
        "ratio_batched": round((middle - began) / (then - middle), 2), "ratio_search": round((middle - began) / (end - then), 2),
        "margin_0_scored": sum(query.n_scored for query in again), "margin_0_s": round(last - end, 3),
        "ratio_margin_0": round((middle - began) / (last - end), 2),
        "same_best": same / len(given), "largest_regret_nats": round(regret, 4), "largest_posterior_error": round(off, 4),
        "goal": GOAL, "met": (middle - began) / (end - then) >= GOAL and same == len(given),
    }  # fmt: skip
    scorer.close()
    if copied:
        some = given[:1]
        texts = [text(query, place) for query in some for place in places(query)]
        seconds = decode_seconds(folder, texts)
        found |= {"decoded_places": len(texts), "decode_s": round(seconds, 3)}
        found["ratio_decode"] = round(seconds / len(texts) * n_places / (end - then), 1)
    return found


if __name__ == "__main__":
    main()
