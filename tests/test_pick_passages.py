"""Which passages are asked about."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from dsbuild.builders.generation.pick_passages import PickPassages
from dsbuild.stage import Workspace

TEXTS = ["", " \n\t ", "　", "  short  ", "a longer passage", "نهر 👨‍👩‍👧"]


def picked(tmp_path: Path, **options: int) -> tuple[list[str], dict[str, object]]:
    rows = pa.table({"doc_id": [str(number) for number in range(len(TEXTS))], "text": TEXTS})
    made = PickPassages("en", **options).run({"rows": [rows]}, Workspace("unit", tmp_path, tmp_path))
    ids = [one for shard in made.outputs["out"] for one in shard.table["doc_id"].to_pylist()]
    return ids, dict(made.facts)


def test_nobody_is_asked_about_white_space(tmp_path: Path) -> None:
    ids, facts = picked(tmp_path)
    assert ids == ["3", "4", "5"]
    assert facts == {"passages": 6, "too_short": 3, "too_long": 0, "not_drawn": 0}


def test_lengths_are_of_the_text_without_its_ends_and_in_code_points(tmp_path: Path) -> None:
    assert picked(tmp_path, min_chars=6)[0] == ["4", "5"]
    assert picked(tmp_path, max_chars=5)[0] == ["3"]
    assert picked(tmp_path, max_chars=9)[0] == ["3", "5"], "four letters or spaces and five code points of one sign"


def test_a_draw_is_of_the_passages_that_fit_and_does_not_change_with_the_limit(tmp_path: Path) -> None:
    (two, facts), (three, _) = picked(tmp_path, limit=2), picked(tmp_path, limit=9)
    assert set(two) < set(three) == {"3", "4", "5"}
    assert facts["not_drawn"] == 1
