"""Triples that their texts state: a filter build whose threshold is found on judged rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from dsbuild.builders.filtering.filtered import FilterRecipe
from dsbuild.builders.sources.flat import open_flat
from dsbuild.digests import file_sha256
from dsbuild.errors import RecipeError, SourceError
from dsbuild.filters.entailment import Entailment
from dsbuild.filters.entailment_threshold import choose
from dsbuild.filters.profiles import split_settings
from dsbuild.filters.scorers import option_names, scorers_of
from dsbuild.recipe import validate

_MAX_ROWS = 200_000
_YES, _NO = {"1", "true", "yes", "entailment"}, {"0", "false", "no", "neutral", "contradiction"}


def with_threshold(
    recipe: FilterRecipe, src: str | None, label: str, precision: float | None
) -> tuple[FilterRecipe, dict[str, Any]]:
    """The recipe with a threshold that was found on the judged triples of `src`, and what was found; as it is where it has one already."""
    said = dict(recipe.groups.get("entailment", {}))
    if src is None:
        if precision is not None:
            raise RecipeError("--target-precision: on which judged triples? Say --labelled KIND:FILE")
        if said.get("min_score") is None:
            raise RecipeError(
                "triples: no threshold; find one on judged triples (--labelled KIND:FILE) or say it: --set entailment.min_score=0.75"
            )
        return recipe, {"threshold": {"threshold": said["min_score"], "source": "user"}, "notes": []}
    if "min_score" in said:
        raise RecipeError("triples: --labelled finds the threshold; leave entailment.min_score out")
    found = threshold_on(
        src, label, said, precision=precision, lang=recipe.source.lang or "und", columns=recipe.source.columns
    )
    entailment = {**said, "min_score": found["threshold"], "calibrated": found["calibrated"]}
    values = {**recipe.model_dump(mode="json", exclude_none=True), "entailment": entailment}
    return validate(FilterRecipe, values, where="options"), {
        "threshold": {**found, "source": "calibrated"},
        "notes": [f"threshold {found['threshold']:.4g}, found on {found['calibrated']}"],
    }


def threshold_on(
    src: str, label: str, settings: Mapping[str, Any], *, precision: float | None, lang: str, columns: Mapping[str, str], seed: int = 0
) -> dict[str, Any]:  # fmt: skip
    """Score judged triples and choose a threshold; returns it with what it does on the held-out half, and what a recipe says of it.

    label: the column that says whether the text states the triple (true/false, 1/0, yes/no, entailment/...); settings: options of the scorer. The
    first 200,000 rows are read. See `dsbuild.filters.entailment_threshold.choose` for errors.
    """
    options, _ = split_settings("entailment", dict(settings), option_names("entailment"))
    scorer: Entailment = scorers_of(["entailment"], {"entailment": options})["entailment"]
    ids, scores, truth = _judged(src, label, scorer, lang, dict(columns))
    found = choose(ids, scores, truth, precision=precision, seed=seed)
    source = open_flat(src, "documents", columns=dict(columns))
    digest = file_sha256(source.paths[0], None)[:12]
    name = source.paths[0].name
    said = f"{name} ({digest}): {found.n_fit} rows; on {found.n_held_out} others precision {_said(found.precision)} at coverage {found.coverage:.3f}"
    return {**asdict(found), "calibrated": said}


def _said(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _judged(
    src: str, label: str, scorer: Entailment, lang: str, columns: dict[str, str]
) -> tuple[list[str], list[float | None], list[bool]]:
    ids: list[str] = []
    scores: list[float | None] = []
    truth: list[bool] = []
    for rows in open_flat(src, "documents", columns=columns).read():
        rows = rows.slice(0, _MAX_ROWS - len(ids))
        if label not in rows.column_names:
            raise SourceError(
                f"{src}: no column {label!r}, which would say whether a triple is stated; it has {', '.join(rows.column_names)}"
            )
        if "lang" not in rows.column_names:
            rows = rows.append_column("lang", pa.array([lang] * rows.num_rows, pa.string()))
        truth += [_truth(value, src, len(truth) + place) for place, value in enumerate(rows[label].to_pylist(), 1)]
        ids += rows["doc_id"].to_pylist()
        scores += scorer.score_rows(rows)["entailment_score"].to_pylist()
        if len(ids) >= _MAX_ROWS:
            break
    return ids, scores, truth


def _truth(value: Any, src: str, number: int) -> bool:
    said = str(value).strip().lower()
    if said in _YES or said in _NO:
        return said in _YES
    raise SourceError(f"{src}: row {number}: {value!r} does not say whether the triple is stated; write true or false")
