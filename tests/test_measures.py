"""Measures of tables: lengths, percentiles, nulls, repeated rows, against counts made without dsbuild's kernels."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.releases.measures import Tally, measure_split, rounded, sizes
from dsbuild.text import words
from tests.small_set import LINES

SCRIPTS = "カタカナー漢字ひらがな ไทยภาษา ខ្មែរ မြန်မာဘာသာ १२,३४५.६ it's don’t a.b 한국어 བོད་ཡིག 🤦🏼\u200d♂️"
POOL = "".join([*LINES, *(text for row in LINES.values() for text in row), SCRIPTS])
RAIN = "नदी बहती है"


def test_sizes_are_those_of_the_text() -> None:
    draw = random.Random(1)
    texts = ["", *LINES, *("".join(draw.choices(POOL, k=draw.randint(0, 40))) for _ in range(400))]
    characters, counted = sizes(pa.array(texts)[3:])
    assert characters.tolist() == [len(text) for text in texts[3:]]
    assert counted.tolist() == [len(words(text)) for text in texts[3:]]


@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 100, 257])
def test_percentiles_are_nearest_ranks(n: int) -> None:
    draw = random.Random(n)
    values = [draw.randint(0, 50) for _ in range(n)]
    tally = Tally()
    for start in range(0, n, 7):
        tally.add(np.array(values[start : start + 7]))
    ordered = sorted(values)
    found = tally.spread()
    expected = [ordered[math.ceil(n * percent / 100) - 1] for percent in (5, 25, 50, 75, 95)]
    assert [found.p5, found.p25, found.p50, found.p75, found.p95] == expected
    assert (found.n, found.min, found.max, tally.total) == (n, ordered[0], ordered[-1], sum(values))


def test_nothing_has_no_percentiles() -> None:
    tally = Tally()
    tally.add(np.array([], np.float64), missing=3)
    assert (tally.spread().n, tally.spread().missing, tally.spread().p50) == (0, 3, None)


def test_scores_keep_four_digits() -> None:
    given = [0.0, -0.123456, 123456.0, 1e-9, 0.99999, -7.0]
    found = [float(f"{value:.4g}") for value in rounded(np.array(given)).tolist()]
    assert found == [float(f"{value:.4g}") for value in given]
    assert rounded(np.array([123456, 7])).tolist() == [123456, 7]


def test_a_split_of_two_files(tmp_path: Path) -> None:
    rows = [
        {"doc_id": str(n), "title": "" if n % 3 else "Title", "text": text, "lang": "hi" if n % 2 else "ta", "source": "s", "group_id": str(n),
         "score": None if n == 4 else n / 7, "sure": n % 2 == 0, "flag": "odd" if n == 5 else ""}
        for n, text in enumerate([*LINES, RAIN, RAIN, RAIN])
    ]  # fmt: skip
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, part in zip(paths, (rows[:7], rows[7:]), strict=True):
        pq.write_table(pa.Table.from_pylist(part), path)
    found = measure_split(
        "mul-corpus", {"table": "corpus", "lang": "mul"}, "corpus", paths, lambda lang, row: f"of {lang}{row}"
    )
    assert found.rows == len(rows)
    assert found.size_bytes == sum(path.stat().st_size for path in paths)
    assert found.langs == Counter(str(row["lang"]) for row in rows)
    assert found.origins == {f"of {lang}": number for lang, number in found.langs.items()}
    assert (found.nulls, found.empty["title"], found.flags) == (
        {"score": 1},
        sum(row["title"] == "" for row in rows),
        {"odd": 1},
    )
    assert found.repeated == 1  # the last has another title
    for lang in ("hi", "ta"):
        texts = [str(row["text"]) for row in rows if row["lang"] == lang]
        assert found.texts[lang]["text"].characters == sum(map(len, texts))
        assert found.texts[lang]["text"].words == sum(len(words(text)) for text in texts)
        assert found.texts[lang]["text"].by_words.max == max(len(words(text)) for text in texts)
    assert (found.scores["score"].n, found.scores["score"].missing) == (len(rows) - 1, 1)
    assert (found.scores["sure"].min, found.scores["sure"].max) == (0, 1)
    again = measure_split(
        "mul-corpus", {"table": "corpus", "lang": "mul"}, "corpus", [paths[0], *paths], lambda lang, row: ""
    )
    assert again.repeated == 7 + 1
