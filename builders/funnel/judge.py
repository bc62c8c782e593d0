"""A language model judges a sample of what the funnel kept and of what it lost: a measure of the funnel, which loses nothing by it."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import xxhash

from dsbuild import languages, parquet, prompts
from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget
from dsbuild.builders.evaluation.judgements import kappa
from dsbuild.errors import RecipeError, SourceError
from dsbuild.filters.copied_span import passages_of
from dsbuild.filters.decide_funnel import here
from dsbuild.language_model import Call, LanguageModel, Said, Sampling
from dsbuild.llm import all_answered, ask_all, open_model
from dsbuild.prompts import Prompt
from dsbuild.shares import wilson
from dsbuild.stage import Counts, Result, Shard, Workspace

_PROMPT = "judge_query"
_MAX_TOKENS = 256

JUDGED_QUERIES = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),  # by the funnel
        pa.field("good", pa.bool_()),  # to the model; null where it gave no verdict
        pa.field("why", pa.string(), nullable=False),  # the model's reason, or what is wrong with its answer
        pa.field("gold", pa.bool_()),  # to people, null where nobody said
    ]
)


def prompt() -> Prompt:
    """The judge's instructions."""
    return prompts.load("dsbuild.builders.funnel", _PROMPT)


def open_judge(generator: Any) -> LanguageModel:
    """The model of the section `funnel.judge.generator` ({name, model, base_url, …}); `RecipeError` for one that cannot work."""
    if not isinstance(generator, Mapping) or not generator.get("name"):
        raise RecipeError(
            "funnel.judge: which model? --set funnel.judge.generator.name=openai --set funnel.judge.generator.model=NAME"
        )
    return open_model(
        str(generator["name"]),
        {key: value for key, value in generator.items() if key != "name"},
        "funnel.judge.generator",
    )


def read_gold(path: Path) -> dict[str, bool]:
    """What people said of queries: lines of JSON with id and good (true or false); `SourceError` names the line that is none."""
    found = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); a file of lines with id and good") from error
    for number, line in enumerate(lines, 1):
        try:
            one = json.loads(line)
            key, good = str(one["id"]), one["good"]
        except (ValueError, KeyError, TypeError):
            raise SourceError(f'{path}:{number}: write {{"id": "…", "good": true}}') from None
        if not isinstance(good, bool):
            raise SourceError(f"{path}:{number}: good is true or false")
        found[key] = good
    return found


@dataclass(frozen=True)
class JudgeSample:
    """Ask about n rows, half of them kept and half lost (as many as there are), and about those that people judged.

    generator: how the model is opened; what decides its answers is the node's model; gold: what people said, by id; a sample is drawn by
    seed and id, so it does not depend on the order of rows. A query is shown with its passage, both as data.
    """

    lang: str
    n: int
    seed: int
    generator: Mapping[str, Any] = field(compare=False)
    gold: Mapping[str, bool] = field(default_factory=dict)

    name: ClassVar[str] = "judge_sample"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (whole, read shard by shard), passages (whole) -> out (`JUDGED_QUERIES`); facts: `agreement`."""
        chosen = self._sample(inputs["rows"].paths)
        found = []
        if chosen:
            texts, place = passages_of(pa.chunked_array([[row["parent_id"] for row in chosen]]), inputs["passages"])
            model = open_judge(self.generator)
            calls = [
                self.call(row["text"], texts[at].as_py().strip())
                for row, at in zip(chosen, place.tolist(), strict=True)
            ]
            with AnswerStore(work.store, model.fingerprint()) as answers:
                said_of = all_answered(f"funnel.judge.{self.lang}", ask_all(model, iter(calls), answers, Budget()))
                for row, said in zip(chosen, said_of, strict=True):
                    good, why = _read(said)
                    found.append(
                        {
                            "query_id": row["id"],
                            "kept": row["kept"],
                            "good": good,
                            "why": why,
                            "gold": self.gold.get(row["id"]),
                        }
                    )
        table = pa.Table.from_pylist(found, JUDGED_QUERIES)
        return Result({"out": [Shard(table)]}, counts=Counts(len(found), len(found)), facts=agreement(found))

    def call(self, query: str, passage: str) -> Call:
        """The question about one row."""
        slots = {"lang": self.lang, "lang_name": languages.get(self.lang).name}
        messages = prompt().messages(slots, {"query": query, "passage": passage})
        return Call(messages, Sampling(max_tokens=_MAX_TOKENS), self.seed % (1 << 31), prompt().schema)

    def _sample(self, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """The rows that are asked about, kept ones first, each part in the order of its draw."""
        parts: dict[bool, list[tuple[int, str, dict[str, Any]]]] = {True: [], False: []}
        known = []
        half = -(-self.n // 2)
        for path in paths:
            rows = parquet.read(path, ["id", "parent_id", "text", "fate"])
            kept = here(rows).tolist()
            for key, at in zip(rows["id"].to_pylist(), range(rows.num_rows), strict=True):
                held = parts[kept[at]]
                entry = (-xxhash.xxh3_64_intdigest(key.encode(), self.seed & (2**64 - 1)), key)
                if key in self.gold:
                    known.append(_row(rows, at, kept[at]))
                elif len(held) < half:
                    heapq.heappush(held, (*entry, _row(rows, at, kept[at])))
                elif held and entry > held[0][:2]:
                    heapq.heapreplace(held, (*entry, _row(rows, at, kept[at])))
        drawn = [
            one[2] for which in (True, False) for one in sorted(parts[which], key=lambda one: one[:2], reverse=True)
        ]
        return [*drawn, *known]


def _row(rows: pa.Table, at: int, kept: bool) -> dict[str, Any]:
    return {**{name: rows[name][at].as_py() for name in ("id", "parent_id", "text")}, "kept": kept}


def _read(said: Said) -> tuple[bool | None, str]:
    return (None, said.problem) if said.problem else (said.value["good"], said.value["why"])


def agreement(judged: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far the model and the funnel agree, and both with people where these said something.

    good_of_kept: the share of kept rows that the model calls good; bad_of_lost: of lost rows that it calls bad; each with its number and 95 % Wilson
    interval. The sample holds as many lost as kept rows, so no figure for all rows together is made of it. kappa: Cohen's, on the sample.
    """
    said = [one for one in judged if one["good"] is not None]
    told: dict[str, Any] = {
        "asked": len(judged), "without_verdict": len(judged) - len(said),
        "good_of_kept": _share([one["good"] for one in said if one["kept"]]),
        "bad_of_lost": _share([not one["good"] for one in said if not one["kept"]]),
        "kappa": kappa([(one["kept"], one["good"]) for one in said])["kappa"],
        "reasons": dict(sorted(Counter(one["why"] for one in judged if not one["good"]).items())),
    }  # fmt: skip
    people = [one for one in judged if one["gold"] is not None]
    if people:
        told["gold"] = {
            "judge": _share([one["good"] == one["gold"] for one in people if one["good"] is not None]),
            "funnel": _share([one["kept"] == one["gold"] for one in people]),
            "judge_kappa": kappa([(one["good"], one["gold"]) for one in people if one["good"] is not None])["kappa"],
        }
    return told


def _share(hits: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(hits), len(hits))
    return {"share": sum(hits) / len(hits) if hits else None, "n": len(hits), "low": low, "high": high}
