"""What people read of a judge: its grades or preferences, how far it agrees with the set's own judgements, what its order of showing did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsbuild.builders.judging.choose_pairs import TOP
from dsbuild.shares import wilson

_ANSWERS = ("pairs", "answered", "failed")


def judge_sections(findings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sections of the manifest, from its findings."""
    languages: Mapping[str, Mapping[str, Any]] = findings["judging"]
    found = [_asked(findings, languages)]
    if findings["mode"] == "graded":
        found += [_bands(findings, languages), _agreement(findings, languages)]
    if findings["mode"] == "pairwise":
        found.append(_order(findings, languages))
    return [one for one in found if one["table"]["rows"]]


def _asked(findings: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    graded, pairwise = findings["mode"] == "graded", findings["mode"] == "pairwise"
    more = (
        [f"grade {grade}" for grade in range(4)] if graded else ["first", "second", "tie"] if pairwise else ["ranked"]
    )
    labels = any("added" in one for one in languages.values())
    columns = ["language", "queries", "comparisons" if pairwise else "pairs", "answered", "failed", *more,
               *(["new judgements"] if labels else []), "tokens"]  # fmt: skip
    rows = []
    for lang, one in languages.items():
        said = (
            one["grades"]
            if graded
            else [one["outcomes"].get(name, 0) for name in more]
            if pairwise
            else [one["ranked"]]
        )
        tokens = one["tokens"]["n_asked"] + one["tokens"]["n_said"]
        counts = (one["queries"], one["asked"], one["answered"], one["failed"])
        rows.append([lang, *counts, *said, *([one.get("added", 0)] if labels else []), tokens])
    what = {
        "graded": "graded each pair from 0 (nothing to do with the query) to 3 (answers it exactly)",
        "pairwise": "said which of two candidates answers the query better, in both orders; two answers that do not name the same document are a tie",
        "likelihood": "scored each query by the mean log-probability of its tokens as a question about the document",
    }[findings["mode"]]
    text = (
        f"{findings['judge']} {what}. Chosen were {_chosen(findings)}. Nobody checked these answers; no judgement of the set was changed, "
        "and only pairs without one got a new one. Every answer is in judged/."
    )
    return {"title": f"Judged by {findings['judge']}", "text": text, "table": {"columns": columns, "rows": rows}}


def _chosen(findings: Mapping[str, Any]) -> str:
    depth = findings["depth"]
    return {
        "candidates": f"the first {depth} candidates of queries",
        "qrels": "pairs that the set judges",
        "sample": f"a sample of the first {depth} candidates, as many of each band of ranks",
    }[findings["pairs"]]


def _bands(findings: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for lang, one in languages.items():
        for band, size in one["bands"].items():
            if grades := one["grades_by_band"].get(band):
                judged = sum(grades)
                relevant = sum(grades[findings["relevant"] :])
                low, high = wilson(relevant, judged)
                rows.append(
                    [
                        lang,
                        band,
                        size,
                        judged,
                        relevant,
                        _percent(relevant / judged if judged else None),
                        _range(low, high),
                    ]
                )
    tops = [
        f"{lang}: {_percent(one['top']['judged'] / one['top']['shown'])} % before, "
        f"{_percent((one['top']['judged'] + one['new_top']) / one['top']['shown'])} % with those of the model"
        for lang, one in languages.items()
        if one["top"]["shown"]
    ]
    text = (
        "How many candidates of each band of ranks the model calls an answer, with 95 % Wilson intervals: how far down answers go on. "
        + (f"Candidates among the first {TOP} that are judged at all: {'; '.join(tops)}." if tops else "")
    )
    columns = ["language", "ranks", "candidates", "judged", "answers", "answers, %", "95 % interval"]
    return {"title": "Grades by rank", "text": text, "table": {"columns": columns, "rows": rows}}


def _agreement(findings: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows, tables = [], []
    for lang, judge, told in _agreements(languages):
        shown = [shown_interval(told[name]) for name in ("raw", "kappa", "kappa_grades", "kappa_linear")]
        rows.append([lang, judge, told["pairs"], told["queries"], *shown])
        tables += [
            f"{lang}, {judge} {grade}: " + " ".join(f"{number:,}" for number in counts)
            for grade, counts in told["table"].items()
        ]
    text = (
        f"Of pairs that both {findings['judge']} and the set judged: the share of equal verdicts (answer or not), Cohen's kappa of these, and of "
        "the four grades where the set has that scale (plain, and weighted by distance), with 95 % bootstrap intervals over queries. "
        f"How often each grade of the set got the grades 0, 1, 2, 3: {'; '.join(tables)}."
    )
    columns = [
        "language",
        "judge of the set",
        "pairs",
        "queries",
        "equal",
        "kappa",
        "kappa of grades",
        "weighted kappa",
    ]
    return {
        "title": f"Agreement of {findings['judge']} with the set", "text": text, "table": {"columns": columns, "rows": rows},
    }  # fmt: skip


def _agreements(languages: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for lang, one in languages.items():
        for judge, told in one["agreement"].items():
            yield lang, judge, told


def _order(findings: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for lang, one in languages.items():
        said, order = one["said"], one["order"]
        named = said.get("first", 0) + said.get("second", 0)
        low, high = wilson(said.get("first", 0), named)
        compared = sum(order.values())
        rows.append(
            [lang, compared, *(order.get(name, 0) for name in ("agree", "first", "second", "undecided")),
             _percent(said.get("first", 0) / named if named else None), _range(low, high)]
        )  # fmt: skip
    text = (
        f"Each comparison was asked for twice, with the documents changed about. Where {findings['judge']} named the same place both "
        "times, the place decided and not the text. Of all answers that name one, the share that names the document shown first (95 % Wilson "
        "interval): 50 % without a bias."
    )
    columns = ["language", "comparisons", "agree", "the first both times", "the second both times", "one answer undecided", "first, %",
               "95 % interval"]  # fmt: skip
    return {"title": "What the order of showing did", "text": text, "table": {"columns": columns, "rows": rows}}


def shown_interval(told: Mapping[str, Any] | None) -> str:
    """Value and interval; "" where there is none."""
    if told is None or told["value"] is None:
        return ""
    return f"{told['value']:.2f}" + ("" if told["low"] is None else f" ({told['low']:.2f} to {told['high']:.2f})")


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
