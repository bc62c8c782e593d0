"""The stage that masks, drops or flags personal data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.decide import decide
from dsbuild.filters.mask_pii import MaskPii
from dsbuild.filters.pii import Pii
from dsbuild.filters.profiles import rules_for
from dsbuild.stage import VERDICTS, Result, Workspace, parameters

TEXTS = ["mail a@b.org or call +91 98765 43210", "nothing", "10.0.0.1 is local", "see c@d.org"]
SECRETS = ("a@b.org", "98765 43210", "c@d.org")


def rows(order: tuple[int, ...] = (0, 1, 2, 3)) -> pa.Table:
    return pa.table(
        {
            "id": [f"d{row}" for row in order],
            "lang": ["en"] * len(order),
            "split": [("train", "train", "train", "test")[row] for row in order],
            "title": ["a title"] * len(order),
            "text": [TEXTS[row] for row in order],
        }
    )


def run(tmp_path: Path, table: pa.Table, **options: Any) -> tuple[pa.Table, Result]:
    stage = MaskPii("documents", "id", ("title", "text"), **options)
    result = stage.run({"rows": table}, Workspace("key", tmp_path, tmp_path))
    (shard,) = result.outputs["out"]
    pa.Table.from_pylist(result.verdicts, VERDICTS)
    assert not any(secret in json.dumps(result.verdicts) for secret in SECRETS)
    assert result.counts is not None
    assert result.counts.balanced()
    return shard.table, result


def test_mask(tmp_path: Path) -> None:
    table, result = run(tmp_path, rows())
    assert table["text"].to_pylist() == ["mail <EMAIL> or call <PHONE>", "nothing", "10.0.0.1 is local", "see <EMAIL>"]
    assert table.schema == rows().schema
    assert [(one["id"], one["outcome"], one["value"]) for one in result.verdicts] == [
        ("d0", "repaired", 2.0),
        ("d3", "repaired", 1.0),
    ]
    detail = json.loads(result.verdicts[0]["detail"])
    assert detail["field"] == "text"
    assert [TEXTS[0][one["start"] : one["end"]] for one in detail["found"]] == ["a@b.org", "+91 98765 43210"]
    again, nothing = run(tmp_path, table)
    assert again == table
    assert nothing.verdicts == []
    assert nothing.facts == {"masked": 0}


def test_order_does_not_matter(tmp_path: Path) -> None:
    order = (3, 1, 0, 2)
    straight, _ = run(tmp_path, rows())
    mixed, _ = run(tmp_path, rows(order))
    assert mixed.sort_by("id") == straight.sort_by("id")


def test_drop_and_flag(tmp_path: Path) -> None:
    table, result = run(tmp_path, rows(), policy="drop", protected=("test",))
    assert table["id"].to_pylist() == ["d1", "d2", "d3"]
    assert table["text"].to_pylist() == TEXTS[1:]
    assert [(one["id"], one["outcome"]) for one in result.verdicts] == [("d0", "dropped"), ("d3", "flagged")]
    table, result = run(tmp_path, rows(), policy="flag", kinds=("private_ip",))
    assert table == rows()
    assert [(one["id"], one["outcome"]) for one in result.verdicts] == [("d2", "flagged")]


def test_wrong_options() -> None:
    with pytest.raises(RecipeError, match="mask, drop and flag"):
        MaskPii("documents", "id", ("text",), policy="hide")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="email"):
        MaskPii("documents", "id", ("text",), kinds=("emai",))
    assert parameters(MaskPii("documents", "id", ("text",)))["library"]


def test_rules() -> None:
    columns = Pii().score(pa.array(TEXTS), ["en"] * 4)
    decision = decide(pa.table(columns), rules_for(["pii"], "document", "en", {}, "default"))
    assert decision.keep.to_pylist() == [True] * 4
    assert [(one.index, one.rule.removeprefix("pii.")) for one in decision.verdicts] == [
        (0, "personal_data"),
        (3, "personal_data"),
    ]
    decision = decide(pa.table(columns), rules_for(["pii"], "document", "en", {"pii": {"max_email": 0}}, "default"))
    assert decision.keep.to_pylist() == [False, True, True, False]
