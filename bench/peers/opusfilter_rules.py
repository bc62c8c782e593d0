"""OpusFilter's twelve cheap filters as its documentation sets them up: their scores of all pairs, and their speed in CPU seconds."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
import warnings
from pathlib import Path

from opusfilter import filters

warnings.filterwarnings("ignore")


def main() -> None:
    """Answer the request: scores and verdicts by filter for each set of pairs, and the median seconds per pair of the timed set."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    found = []
    for one in request["sets"]:
        made = make(one["scripts"])
        found.append({name: judged(one_filter, one["pairs"]) for name, one_filter in made.items()})
    timed = request["timed"]
    made = make(timed["scripts"])
    seconds = {
        name: statistics.median(
            spent(one_filter, timed["pairs"][: timed["sizes"][name]]) for _ in range(request["repetitions"])
        )
        for name, one_filter in made.items()
    }
    print(json.dumps({"scores": found, "seconds": seconds}))


def make(scripts: list[str]) -> dict[str, filters.FilterABC]:
    """The filters with their default thresholds."""
    return {
        "length": filters.LengthFilter(), "length_ratio": filters.LengthRatioFilter(), "longest_word": filters.LongWordFilter(),
        "mean_word": filters.AverageWordLengthFilter(), "tags": filters.HtmlTagFilter(), "alphabet": filters.AlphabetRatioFilter(),
        "script": filters.CharacterScoreFilter(scripts=scripts), "terminal": filters.TerminalPunctuationFilter(),
        "numerals": filters.NonZeroNumeralsFilter(), "common_substring": filters.LongestCommonSubstringFilter(),
        "similarity": filters.SimilarityFilter(), "repetition": filters.RepetitionFilter(),
    }  # fmt: skip


def judged(one: filters.FilterABC, pairs: list[list[str]]) -> list[tuple[list[float], bool]]:
    """Scores and verdict of each pair."""
    rows = []
    for score in one.score(pairs):
        values = score if isinstance(score, list) else [score]
        rows.append(([1e300 if math.isinf(value) else float(value) for value in values], bool(one.accept(score))))
    return rows


def spent(one: filters.FilterABC, pairs: list[list[str]]) -> float:
    """CPU seconds per pair for scores and verdicts."""
    started = time.process_time()
    for score in one.score(pairs):
        one.accept(score)
    return (time.process_time() - started) / len(pairs)


if __name__ == "__main__":
    main()
