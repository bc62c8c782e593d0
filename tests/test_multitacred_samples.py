"""The published rows of MultiTACRED made again: its own translations as the engine, its entities as what must come out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dsbuild.engine import Output, Request
from dsbuild.registry import Registry
from dsbuild.translate import engines
from tests.marked_engine import Turn
from tests.small_set import ROOT, cli

SAMPLES = ROOT.parent / "shared" / "data" / "projection" / "multitacred_samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/data/projection/multitacred_samples")


class Known(Turn):
    """Says the translations of the samples; white space aside, because what is translated back was made of tokens there."""

    TOLD: ClassVar[dict[str, str]] = {}

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        for number, batch in enumerate(batches):
            said = [self.TOLD.get("".join(request.text.split()), "") for request in batch]
            yield number, [Output(one) if one else Output("", "error", error="unknown") for one in said]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def words(row: dict[str, Any], side: str) -> list[str]:
    return ["".join(row[f"tokens_{side}"][slice(*place)]) for place in row[f"entities_{side}"]]


def test_every_row_comes_out_with_the_entities_of_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(SAMPLES.glob("de/*.jsonl"))
    told = {"".join(row["text_raw"].split()): row["translation_raw"] for path in files for row in lines(path)}
    monkeypatch.setattr(Known, "TOLD", told)
    monkeypatch.setattr(engines, "ENGINES", Registry("engine", {"known": "tests.test_multitacred_samples:Known"}))
    code, _, err = cli(
        "project", "--recipe", "multitacred", "--src", f"tacred:{SAMPLES / 'en'}", "--langs", "de", "--set", "engine={name: known}",
        "--write", f"multitacred:{tmp_path / 'files'}", "--out", tmp_path / "out", "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0, err
    n_rows = 0
    for path in files:
        made = {row["id"]: row for row in lines(tmp_path / "files" / "de" / path.name.replace("_sample", ""))}
        published = lines(path)
        assert sorted(made) == sorted(row["id"] for row in published)
        side = "backtranslated" if "bt" in path.name else "translated"
        for row in published:
            mine = made[row["id"]]
            assert words(mine, side) == words(row, side)
            assert set(mine) == set(row)
            # How translations are cut into tokens, and with it the text that was made of them, is each tool's own.
            own = {f"{what}_{one}" for what in ("tokens", "entities") for one in ("translated", "backtranslated")}
            own |= {"text_raw"} if side == "backtranslated" else set()
            assert {key: mine[key] for key in row if key not in own} == {key: row[key] for key in row if key not in own}
            n_rows += 1
    assert n_rows == 18
