"""What a recipe says of the funnel that generated queries pass, checked before work starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import model_validator

from dsbuild.builders.filtering.duplicates import near_of
from dsbuild.builders.funnel.judge import open_judge, read_gold
from dsbuild.builders.retrieval.rerank import RerankSection, fingerprint
from dsbuild.builders.retrieval.retriever import open_retrievers, split_spec
from dsbuild.errors import RecipeError
from dsbuild.filters.funnel_rules import split, step, steps
from dsbuild.filters.generated_texts import FIRST
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.ngram_index import DEFAULT_N
from dsbuild.graph import Input, Node
from dsbuild.recipe import OpenSection, validate

# What may be set of a step besides its thresholds.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "language": ("model",),
    "contamination": ("against", "n"),
    "duplicates": ("jaccard", "recall", "unit", "n"),
    "round_trip": ("retriever", "depth", "options"),
    "reranker": ("model", "revision", "file", "rivals", "batch", "max_length", "device"),
    "likelihood": ("top_k",),
    "top_share": ("share", "by"),
    "judge": ("n", "generator", "gold"),
}
# What steps do unless a recipe says otherwise: candidates of the round trip, of which the reranker sees; the share that stays (doc2query--); rows
# that are judged.
DEPTH, RIVALS_SEEN, SHARE, JUDGED = 100, 10, 0.3, 100


class FunnelSection(OpenSection):
    """The funnel. stages: those that run, instead of the usual ones; every other key is a step: false, true, or its settings."""

    stages: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, Mapping) else ():
            if key == "stages":
                continue
            step(key)
            if not isinstance(value, bool | Mapping):
                raise RecipeError(f"funnel.{key}={value!r}: true, false, or settings such as funnel.round_trip.k=3")
        return values


@dataclass(frozen=True)
class FunnelPlan:
    """A funnel whose settings are sound.

    names: the steps that run, in order; options, said: by step, its options, and its thresholds as the recipe has them; shared: nodes for all
    languages; items: the evaluation sets that rows are compared with; near_source: who says what a near duplicate is: default, style or user;
    texts: columns of the generated texts of a row.
    """

    names: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    said: Mapping[str, Mapping[str, Any]]
    seed: int
    shared: tuple[Node, ...] = ()
    items: Input | None = None
    near: Near = field(default_factory=Near)
    near_source: str = "default"
    texts: tuple[str, ...] = FIRST

    def option(self, name: str, key: str, default: Any) -> Any:
        """An option of a step."""
        return self.options.get(name, {}).get(key, default)

    @property
    def against(self) -> tuple[str, ...]:
        """The evaluation sets that rows are compared with."""
        said = self.option("contamination", "against", ())
        return (said,) if isinstance(said, str) else tuple(said)

    @property
    def retriever(self) -> str:
        """What searches in the round trip, as `--retriever` names it."""
        return str(self.option("round_trip", "retriever", "bm25"))

    @property
    def share_column(self) -> str:
        """The score whose best share stays."""
        return str(self.option("top_share", "by", "reranker_score"))

    @property
    def reranker(self) -> RerankSection:
        """The model, or the file, that scores pairs."""
        said = {key: value for key, value in self.options.get("reranker", {}).items() if key != "rivals"}
        return validate(RerankSection, said, where="funnel.reranker")


def plan_funnel(
    section: FunnelSection, *, seed: int = 0, digests: Path | None = None, style: Mapping[str, Any] | None = None,
    texts: tuple[str, ...] = FIRST,
) -> FunnelPlan:  # fmt: skip
    """Check a funnel before work starts: steps, thresholds, retrievers, models, evaluation sets.

    A step runs if it usually does, if `stages` names it or if the recipe sets something of it. style: what rows of a style usually pass
    (step -> as in a recipe), where the recipe does not say otherwise; texts: columns of the texts that rows will have (`generated_texts`).
    `RecipeError` or `UnknownName` for what cannot work.
    """
    own = dict(section.model_extra or {})
    given = own | {
        name: {**usual, **own[name]} if isinstance(own.get(name), Mapping) and isinstance(usual, Mapping) else own.get(name, usual)
        for name, usual in (style or {}).items()
        if section.stages is None or name in section.stages
    }  # fmt: skip
    options: dict[str, dict[str, Any]] = {}
    said: dict[str, dict[str, Any]] = {}
    for name in given:
        options[name], said[name] = split(name, _settings(given, name), OPTIONS.get(name, ()), texts)
    for name in section.stages or ():
        step(name)
    if section.stages is not None:
        if unused := [name for name in given if name not in section.stages and given[name] is not False]:
            raise RecipeError(f"funnel.{unused[0]}: set, but not among funnel.stages={list(section.stages)}")
        chosen = [name for name in steps() if name in section.stages and given.get(name) is not False]
    else:
        chosen = [name for name, one in steps().items() if given.get(name, one.usual) is not False]
    plan = FunnelPlan(tuple(chosen), options, said, seed)
    _check(plan)
    shared: tuple[Node, ...] = ()
    items = None
    if "contamination" in chosen:
        from dsbuild.builders.filtering.contaminated import ContaminationSection, item_nodes

        reading, items = item_nodes(
            plan.against,
            ContaminationSection().tables,
            plan.option("contamination", "n", DEFAULT_N),
            digests,
        )
        shared = tuple(reading)
    near = near_of(options.get("duplicates", {})) if "duplicates" in chosen else Near()
    told = {"user": own, "style": given}
    near_source = next((by for by, one in told.items() if "jaccard" in _settings(one, "duplicates")), "default")
    return FunnelPlan(tuple(chosen), options, said, seed, shared, items, near, near_source, texts)


def _settings(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What is set of a step."""
    return given[name] if isinstance(given.get(name), Mapping) else {}


def _check(plan: FunnelPlan) -> None:
    if "contamination" in plan.names and not plan.against:
        raise RecipeError("funnel.contamination: name evaluation sets: --set funnel.contamination.against=[beir:DIR]")
    if "round_trip" in plan.names:
        depth = plan.option("round_trip", "depth", DEPTH)
        if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
            raise RecipeError(f"funnel.round_trip.depth={depth!r}: a whole number, at least 1")
        k = plan.said.get("round_trip", {}).get("k")
        if k is not None and not 1 <= k <= depth:
            raise RecipeError(f"funnel.round_trip.k={k:g}: between 1 and funnel.round_trip.depth={depth}")
        if len(split_spec(plan.retriever)) > 1:
            raise RecipeError(f"funnel.round_trip.retriever={plan.retriever}: one retriever; several are rrf:A+B")
        open_retrievers(plan.retriever, plan.option("round_trip", "options", {}))[0].close()
    if "reranker" in plan.names:
        if not {"bm25", "round_trip"} & set(plan.names):
            raise RecipeError("funnel.reranker: candidates come from the step round_trip or bm25; let one of them run")
        fingerprint(plan.reranker)
    if "likelihood" in plan.names:
        top = plan.option("likelihood", "top_k", None)
        if not isinstance(top, int) or isinstance(top, bool) or top < 1:
            raise RecipeError("funnel.likelihood: how many stay? --set funnel.likelihood.top_k=10000")
    if "top_share" in plan.names:
        share = plan.option("top_share", "share", SHARE)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise RecipeError(f"funnel.top_share.share={share!r}: a number above 0, at most 1")
        if plan.share_column == "reranker_score" and "reranker" not in plan.names:
            raise RecipeError(
                "funnel.top_share: by which score? Let the reranker run, or --set funnel.top_share.by=logprob"
            )
    if "judge" in plan.names:
        open_judge(plan.option("judge", "generator", {}))
        n = plan.option("judge", "n", JUDGED)
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise RecipeError(f"funnel.judge.n={n!r}: how many rows are judged, at least 1")
        if gold := plan.option("judge", "gold", ""):
            read_gold(Path(gold).expanduser())
    if plan.option("language", "model", "") and "language" not in plan.names:
        raise RecipeError("funnel.language.model: the step language does not run")
