"""What exact search costs: `python bench/constrained.py [--quick] [--format json]`.

The packaged mini model (int8, one thread), hand-written English-Hindi sentences with one to three words marked. Three ways to the best place of the
marks, each with the same scorer in the same run: every admissible place alone, one teacher-forced call each; all places of a span in batches,
without bounds; the search of `constrained`, with `margin` 12 and with 0 (the best place alone, no posterior). Goal: the search at least 5 times
faster than one call a place, same best place.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from pathlib import Path
from typing import Any

from dsbuild.project.marked_search import Marks, Query, search
from dsbuild.scoring import Scored
from dsbuild.text import word_spans
from dsbuild.translate.ct2_scorer import MiniScorer
from dsbuild.translate.mini_engine import FOLDER

MARKS, MARGIN, EXACT, GOAL = Marks(), 12.0, 60, 5.0
STEP = 10


def queries(n: int) -> list[Query]:
    """Every 10th hand-written sentence; the span is the words from a third of the way on."""
    found = []
    with (Path(FOLDER) / "handwritten-a.tsv").open(encoding="utf-8") as lines:
        for row in list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[::STEP]:
            source, target = row["en"], row["hi"]
            src, tgt = word_spans(source, "en"), word_spans(target, "hi")
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    scorer = MiniScorer(workers=1)

    def ask(texts: Any) -> list[Scored]:
        return scorer.score([one for one, _ in texts], [two for _, two in texts], "en", "hi")

    given = queries(4 if options.quick else 40)
    ask([(given[0].marked, given[0].target)])

    def text(query: Query, place: tuple[int, int]) -> tuple[str, str]:
        return query.marked, MARKS.around(query.target, (query.words[place[0]][0], query.words[place[1] - 1][1]))

    began = time.perf_counter()
    alone = [{place: ask([text(query, place)])[0].total for place in places(query)} for query in given]
    middle = time.perf_counter()
    for query in given:
        ask([text(query, place) for place in places(query)])
    then = time.perf_counter()
    search(given, ask, MARKS, EXACT, MARGIN, False)
    end = time.perf_counter()
    again = queries(len(given))
    search(again, ask, MARKS, EXACT, 0.0, False)
    last = time.perf_counter()
    same = regret = off = 0.0
    for query, every in zip(given, alone, strict=True):
        best = max(every.values())
        chosen = query.posterior()[0][0]
        same += every[chosen] == best
        # A model in int8 rounds by batch: what another choice costs, in nats.
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
    if options.format == "json":
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:26} {value}")


if __name__ == "__main__":
    main()
