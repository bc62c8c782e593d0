"""The draft release of a pruned set: what stayed, the certificates, and the runs that they can be computed from again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsbuild import release
from dsbuild.builders.parts import Rows, source_notes
from dsbuild.builders.pruning.certificate import FOLDER, RUNS
from dsbuild.builders.pruning.pruned import Pruning
from dsbuild.builders.retrieval.retriever_section import public_searched
from dsbuild.builders.set_draft import Draft, write
from dsbuild.graph import Input, Progress


def write_pruned(folder: Path, pruning: Pruning, progress: Progress) -> dict[str, Any]:
    """Write the draft of a finished build; returns what the command prints."""
    said = pruning.recipe.prune
    certificates = {lang: _certificate(pruning, lang, progress) for lang in pruning.langs}
    findings = {
        "rule": said.rule, "retrievers": list(pruning.retrievers), "depth": pruning.recipe.retriever.depth, "decided_in": said.decide,
        "certificate": certificates,
    }  # fmt: skip
    shown, opened = public_searched(pruning.recipe, pruning.recipe.retriever.use), pruning.opened
    draft = Draft(shown, pruning.recipe.title(), opened, pruning.nodes, pruning.final, progress)
    notes = _notes(pruning, certificates, progress)
    manifest = write(draft, folder, findings, notes, list(_parts(pruning, progress)), list(_sections(certificates)))
    return {
        "release": str(folder), "rule": said.rule, "retrievers": list(pruning.retrievers), "certificate": certificates,
        "notes": manifest["notes"],
    }  # fmt: skip


def _certificate(pruning: Pruning, lang: str, progress: Progress) -> dict[str, Any]:
    """What was certified, with where pruning ended and why."""
    chosen, certified = (progress.done[f"{node}.{lang}"][0].facts for node in ("choose", "certify"))
    said = pruning.recipe.prune
    stop = {
        "depth": said.depth_of(lang), "target_tau": said.target_tau, "bound": said.bound if said.target_tau else None,
        "target_size": said.target_size, "path": chosen["path"],
    }  # fmt: skip
    return {**certified, "corpus": pruning.corpora[lang].lang, "qrels": lang, "stop": stop}


def _parts(pruning: Pruning, progress: Progress) -> Iterator[release.Part]:
    for lang in pruning.langs:
        shards = progress.shards(Input(f"certify.{lang}"))
        rows = sum(shard.rows for shard in shards)
        yield release.Part(FOLDER, f"{lang}-runs", RUNS, rows, Rows([shard.path for shard in shards]))


def _sections(certificates: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tables for people: one for all languages, and one of retrievers and one of depth for each."""
    columns = ["language", "documents", "kept", "factor", "judged", "factor, unjudged", "tau", "tau AP", "pairs kept", "largest rank change",
               "tau, left out", "tau, refitted"]  # fmt: skip
    rows = []
    for lang, one in certificates.items():
        held, pairs, moved = one["documents"], one["pairs"], one["largest_rank_change"]
        rows.append(
            [
                lang, held["whole"], held["kept"], _short(held["factor"]), held["judged"], _short(held["unjudged_factor"]), spread(one["tau"]),
                spread(one["tau_ap"]), f"{pairs['kept']} of {pairs['significant']}" if pairs else "",
                _moved(moved), spread(one["left_out_tau"]), spread(one["refitted_tau"]),
            ]
        )  # fmt: skip
    some = next(iter(certificates.values()))
    yield {
        "title": "Pruning certificate",
        "text": (
            f"Retrievers ranked by {some['metric']} on the whole collection and on what was kept; brackets are 95 % bootstrap "
            f"intervals over queries. "
            "Pairs kept: of the pairs of retrievers that a paired t-test told apart, those that it still does. Left out: each "
            "retriever scored on what would "
            "have been kept without it and what shares a part with it, which is how a retriever that nobody had here is treated. "
            "Refitted: each indexed on "
            f"what was kept alone, so that what it learns from the collection changes too. {some['said']}."
        ),
        "table": {"columns": columns, "rows": rows},
    }
    for lang, one in certificates.items():
        yield {
            "title": f"Retrievers before and after pruning: {lang}",
            "text": "Inflation: score on what was kept minus score on the whole collection. Pool bias: further gain of a retriever "
            "that was not in the pool.",
            "table": {
                "columns": ["retriever", one["metric"], "kept", "inflation", "rank", "rank, kept", "pool bias", "refitted"],
                "rows": [
                    [
                        name, _short(found["whole"]), _short(found["kept"]), spread(found["inflation"]), found["rank_whole"], found["rank_kept"],
                        spread(found["pool_bias"]), _short(found["refitted"]),
                    ]
                    for name, found in one["retrievers"].items()
                ],
            },
            "chart": {
                "kind": "bars", "unit": "inflation",
                "bars": [{"label": name, **found["inflation"]} for name, found in one["retrievers"].items()],
            },
        }  # fmt: skip
        yield {
            "title": f"Depth by relevant documents: {lang}",
            "text": "The rank to which every retriever's ranking of a query kept all its documents, looked at to rank 100.",
            "table": {
                "columns": ["relevant documents", "queries", "mean depth", "median depth"],
                "rows": [[group["positives"], group["queries"], _short(group["mean_depth"]), group["median_depth"]] for group in one["depth"]],
            },
        }  # fmt: skip


def spread(value: Mapping[str, float | None]) -> str:
    """A value with its interval.

    >>> spread({"value": 0.9, "low": 0.8, "high": 1.0}), spread({"value": None, "low": None, "high": None})
    ('0.900 [0.800, 1.000]', '')
    """
    if value["value"] is None:
        return ""
    if value["low"] is None or value["high"] is None:
        return f"{value['value']:.3f}"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _moved(one: Mapping[str, Any] | None) -> str:
    return "" if one is None else f"{one['change']:g} ({one['retriever']})" if one["change"] else "0"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _notes(pruning: Pruning, certificates: Mapping[str, Mapping[str, Any]], progress: Progress) -> list[str]:
    found = source_notes(progress)
    said = pruning.recipe.prune
    for lang, one in certificates.items():
        held = one["documents"]
        found.append(
            f"{lang}: {held['kept']:,} of {held['whole']:,} documents are kept, {held['judged']:,} of them because they are judged"
            + (f"; tau {spread(one['tau'])}" if one["tau"]["value"] is not None else "")
        )
        if not held["unjudged"]:
            found.append(f"{lang}: every document is judged for some query, so nothing can be pruned")
        elif held["kept"] == held["whole"]:
            found.append(f"{lang}: nothing can be pruned under what was asked")
        if said.target_tau and (not one["stop"]["path"] or one["stop"]["path"][-1]["value"] is None):
            found.append(f"{lang}: the retrievers tie, so tau says nothing and everything is kept")
        found.append(f"{lang}: {one['said']}")
    if said.target_tau:
        which = "estimate" if said.bound == "point" else "lower end of the interval"
        found.append(
            f"target tau {said.target_tau:g}: the {which} reaches it at the chosen size and at every larger one that was looked at"
        )
    if said.decide:
        found.append(
            f"decided in {said.decide} and carried to every language through ids; each language's certificate is its own"
        )
    return found
