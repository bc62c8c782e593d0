"""The named recipes of retrieval sets run on the shipped sample."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dsbuild import release
from dsbuild.builders.recipes import named
from dsbuild.cli import app

OFFLINE = ["--set", "source.src=msmarco-sample"]


@pytest.mark.parametrize("recipe", ["jacolbert-hn", "miracl-vision-prune", "mmteb-downsample"])
def test_a_recipe_runs_on_the_sample(recipe: str, tmp_path: Path) -> None:
    lang = ["--set", "source.lang=null"] if recipe == "mmteb-downsample" else []
    out = tmp_path / "out"
    found = CliRunner().invoke(app, ["run", recipe, *OFFLINE, *lang, "--out", str(out), "--store", str(tmp_path / "s")])
    assert found.exit_code == 0, found.output
    manifest = release.read_manifest(out)
    assert manifest["name"] == recipe
    assert release.damaged(out, manifest, deep=True) == []


def test_the_translated_recipe_leaves_the_questions_as_they_are(tmp_path: Path) -> None:
    settings = [
        "--set",
        "engine={name: mini}",
        "--set",
        "langs=[hi]",
        "--set",
        "source.limit=30",
        "--set",
        "max_drop=1",
    ]
    out = tmp_path / "out"
    found = CliRunner().invoke(
        app, ["run", "mlir-mtt", *OFFLINE, *settings, "--out", str(out), "--store", str(tmp_path / "s")]
    )
    assert found.exit_code == 0, found.output
    assert {"hi-corpus", "en-corpus", "en-queries"} <= set(release.read_manifest(out)["configs"])
    assert "hi-queries" not in release.read_manifest(out)["configs"]
    mined = tmp_path / "mined"
    words = [
        "mine",
        "--src",
        str(out),
        "--retriever",
        "bm25",
        "--rule",
        "naive",
        "--negatives",
        "2",
        "--set",
        "mine.decide=en",
    ]
    found = CliRunner().invoke(app, [*words, "--out", str(mined), "--store", str(tmp_path / "s")])
    assert found.exit_code == 0, found.output
    pairs = {
        lang: {
            (row["query_id"], row["doc_id"])
            for path in (mined / f"{lang}-negatives").glob("*.parquet")
            for row in pq.read_table(path).to_pylist()
        }
        for lang in ("en", "hi")
    }
    assert pairs["hi"]
    assert pairs["hi"] == pairs["en"]


def test_every_recipe_says_what_it_is() -> None:
    assert {"mmarco", "jacolbert-hn", "miracl-vision-prune", "mmteb-downsample", "mlir-mtt"} <= set(named())
    assert all(len(said) > 20 for said in named().values())
