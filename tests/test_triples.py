"""`dsbuild triples`: a threshold from judged rows, and a filter build with it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.releases.verification import verify
from dsbuild.release import read_manifest
from tests.small_set import cli, rows

NAMES = ["Ada Winter", "Bruno Keller", "Clara Ivanova", "David Osei", "Elena Rossi"]
TOWNS = ["Larchmont", "Brindle", "Castleford", "Dunmore", "Eastvale"]


def made(n: int, seed: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(seed)
    for number in range(n):
        (one, two), (here, there) = draw.sample(NAMES, 2), draw.sample(TOWNS, 2)
        text = f"{one} was born in {here} and studied law. Later {two} moved to {there}, where the river floods each spring."
        wrong = [
            (two, "born in", here),
            (one, "born in", there),
            (two, "employer", "Mill"),
            (one, "born in", "Fairwick"),
        ]
        stated = draw.random() < 0.5
        subject, relation, place = (one, "born in", here) if stated else draw.choice(wrong)
        yield {
            "id": f"{seed}.{number}",
            "text": text,
            "subject": subject,
            "relation": relation,
            "object": place,
            "label": stated,
        }


def write(path: Path, given: Iterator[dict[str, Any]], *, judged: bool) -> Path:
    kept = [row if judged else {key: value for key, value in row.items() if key != "label"} for row in given]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write(tmp_path / "judged.jsonl", made(300, 1), judged=True)
    write(tmp_path / "triples.jsonl", made(60, 2), judged=False)
    return tmp_path


def triples(folder: Path, *more: str) -> tuple[int, str, str]:
    return cli(
        "triples", "--src", f"jsonl:{folder / 'triples.jsonl'}", "--lang", "en", "--store", str(folder / "store"), "--out", str(folder / "out"),
        "--format", "json", *more,
    )  # fmt: skip


def test_from_judged_rows_to_a_release(files: Path) -> None:
    code, out, err = triples(files, "--labelled", f"jsonl:{files / 'judged.jsonl'}", "--target-precision", "0.9")
    assert code == 0, err
    found = json.loads(out)["threshold"]
    assert found["precision"] >= 0.85
    assert found["n_fit"] + found["n_held_out"] == 300
    kept = {row["doc_id"] for row in rows(files / "out", "en-documents/*")}
    stated = {row["id"] for row in made(60, 2) if row["label"]}
    assert len(kept & stated) / len(kept) >= 0.85
    assert len(kept) > 10
    recipe = read_manifest(files / "out")["recipe"]
    assert recipe["entailment"]["min_score"] == found["threshold"]
    assert "judged.jsonl" in recipe["entailment"]["calibrated"]
    verdicts = rows(files / "out", "dropped/verdicts-*")
    assert {one["rule"] for one in verdicts} == {"entailment.not_stated"}
    assert len(verdicts) == 60 - len(kept)
    assert verify(files / "out")["problems"] == []


def test_a_threshold_of_the_user(files: Path) -> None:
    code, out, err = triples(files, "--set", "entailment.min_score=0.2")
    assert code == 0, err
    assert json.loads(out)["threshold"] == {"threshold": 0.2, "source": "user"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "no threshold; find one on judged triples"),
        (("--target-precision", "0.9"), "on which judged triples?"),
        (("--labelled", "jsonl:{}/judged.jsonl", "--set", "entailment.min_score=0.5"), "leave entailment.min_score out"),
        (("--labelled", "jsonl:{}/judged.jsonl", "--label", "stated"), "no column 'stated'"),
        (("--labelled", "jsonl:{}/judged.jsonl", "--label", "object"), "does not say whether the triple is stated"),
        (("--labelled", "jsonl:{}/judged.jsonl", "--set", "entailment.subjct=x"), "entailment.subject"),
        (("--labelled", "jsonl:{}/judged.jsonl", "--set", "entailment.subject=head"), "no column 'head'"),
        (("--labelled", "jsonl:{}/judged.jsonl", "--nli", "{}"), "no model in that folder"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(files: Path, more: tuple[str, ...], said: str) -> None:
    code, _, err = triples(files, *(one.replace("{}", str(files)) for one in more))
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
