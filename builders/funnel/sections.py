"""The funnel on the report page: tables and drawings from the facts of a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild.builders.parts import language_name
from dsbuild.filters.generated_texts import without_ending
from dsbuild.filters.query_shapes import MOST_WORDS

# One chart has room for so many lengths; neighbours are drawn together.
_WIDTH = 4


def funnel_sections(languages: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `manifest["sections"]` says of funnels: for each language counts, lost samples, and the distributions beside real queries.

    languages: by language, what `funnel.report.funnel_facts` gave.
    """
    found = []
    for lang, told in languages.items():
        found += [_counts(language_name(lang), told), _samples(language_name(lang), told)]
        if told.get("judged"):
            found.append(_judged(language_name(lang), told["judged"]))
    found += [_lengths(languages), _kinds(languages)]
    if any(told["distance"] for told in languages.values()):
        found.append(_distances(languages))
    return [one for one in found if one["table"]["rows"]]


def _counts(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for one in told["steps"]:
        if one["ran"]:
            share = round(100 * one["lost"] / one["in"], 2) if one["in"] else None
            rows.append(
                [
                    one["name"],
                    one["in"],
                    one["lost"],
                    share,
                    one["left"],
                    one["flagged"],
                    one["by"],
                    bounds(one["rules"]),
                ]
            )
        else:
            rows.append([one["name"], None, None, None, None, None, "", f"not run: {one['why']}"])
    columns = ["step", "in", "lost", "lost, %", "left", "flagged", "by", "thresholds and where they come from"]
    bars = [{"label": "generated", "value": 100.0 if told["in"] else 0.0}] + [
        {"label": f"after {one['name']}", "value": round(100 * one["left"] / told["in"], 2) if told["in"] else 0.0}
        for one in told["steps"]
        if one["ran"]
    ]
    text = (
        f"{told['kept']:,} of {told['in']:,} generated rows passed every step, cheap to dear. A row is lost at the first step whose rule it "
        "fails; a dear step scores only what is left."
    )
    return {
        "title": f"{name}: what the funnel lost", "text": text, "table": {"columns": columns, "rows": rows},
        "chart": {"kind": "bars", "unit": "% left", "bars": bars},
    }  # fmt: skip


def bounds(rules: Sequence[Mapping[str, Any]]) -> str:
    """The rules of a step in a few words; those that differ by nothing but the text that they look at stand together.

    >>> one = {"rule": "leaked.leaked_words", "op": ">", "threshold": 0.0, "source": "default", "action": "flag"}
    >>> bounds([one, {**one, "rule": "leaked.leaked_words_b"}, {**one, "rule": "leaked.other", "threshold": 0.8, "action": "drop"}])
    'leaked_words, leaked_words_b > 0 (default), a flag; other > 0.8 (default)'
    """
    together: dict[tuple[str, ...], list[str]] = {}
    for rule in rules:
        name = rule["rule"].partition(".")[2] or rule["rule"]
        at_what = "" if rule["threshold"] is None else f" {rule['op']} {rule['threshold']:g}"
        flag = ", a flag" if rule["action"] == "flag" else ""
        together.setdefault((without_ending(name), f"{at_what} ({rule['source']}){flag}"), []).append(name)
    return "; ".join(f"{', '.join(names)}{said}" for (_, said), names in together.items())


def _samples(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            one["name"],
            sample.get("rule", "").partition(".")[2] or sample.get("rule", ""),
            reason(sample),
            sample["id"],
            sample["text"],
        ]
        for one in told["steps"]
        for sample in one["samples"]
    ]
    text = "Some of the rows that each step lost, chosen by the hash of their ids."
    return {
        "title": f"{name}: lost rows",
        "text": text,
        "table": {"columns": ["step", "rule", "value", "id", "text"], "rows": rows},
    }


def reason(sample: Mapping[str, Any]) -> str:
    """What a lost row had, and which row stays in its place, or where an evaluation item stands in it.

    >>> reason({"rule": "copied.copied_span", "value": 0.91, "op": ">", "threshold": 0.8, "detail": ""})
    '0.91 > 0.8'
    >>> reason({"rule": "near_duplicate", "value": 0.91, "op": ">=", "threshold": 0.8, "detail": "g1"})
    '0.91, kept: g1'
    """
    if sample.get("value") is None or sample.get("threshold") is None:
        return ""
    if sample["rule"].endswith("_duplicate"):
        return f"{sample['value']:.4g}, kept: {sample['detail']}"
    said = f"{sample['value']:.4g} {sample['op']} {sample['threshold']:.4g}"
    return f"{said}, {sample['detail']}" if sample["detail"] else said


def judged_shares(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a judge said of a sample: each share with its interval (`share`, `low`, `high`, `n`), by what it is a share of."""
    shares = {"kept rows that it calls good": told["good_of_kept"], "lost rows that it calls bad": told["bad_of_lost"]}
    if gold := told.get("gold"):
        shares |= {"agrees with people": gold["judge"], "the funnel agrees with people": gold["funnel"]}
    return shares


def _judged(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    shares = judged_shares(told)
    rows = [[what, one["n"], *(_percent(one[key]) for key in ("share", "low", "high"))] for what, one in shares.items()]
    bars = [
        {
            "label": what,
            **{key: _percent(one[name]) for key, name in (("value", "share"), ("low", "low"), ("high", "high"))},
        }
        for what, one in shares.items()
        if one["n"]
    ]
    kappa = "no kappa" if told["kappa"] is None else f"kappa {told['kappa']:.2f}"
    reasons = ", ".join(f"{why.replace('_', ' ')} {number:,}" for why, number in told["reasons"].items()) or "none"
    text = (
        f"A language model judged {told['asked']:,} rows, as many lost as kept ones; {told['without_verdict']:,} of its answers were no verdict. "
        f"With the funnel's decisions: {kappa}. Reasons against rows: {reasons}. Lines are 95 % Wilson intervals. Nothing was lost by it."
    )
    return {
        "title": f"{name}: a judge's view of the funnel", "text": text, "table": {"columns": ["what", "rows", "%", "from", "to"], "rows": rows},
        "chart": {"kind": "bars", "unit": "%", "bars": bars} if bars else None,
    }  # fmt: skip


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _lengths(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for lang, told in languages.items():
        for start in range(0, MOST_WORDS + 1, _WIDTH):
            both = [_share(told[side], "lengths", range(start, start + _WIDTH)) for side in ("generated", "real")]
            if any(both):
                end = f"-{start + _WIDTH - 1}" if start < MOST_WORDS else " or more"
                rows.append([language_name(lang), f"{start}{end}", *both])
    text = "Words of the queries that stayed, and of real queries where the source has some; in scripts without spaces characters or syllables."
    return {
        "title": "Lengths of generated and real queries",
        "text": text,
        "table": {"columns": ["language", "words", "generated, %", "real, %"], "rows": rows},
    }


def _kinds(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for lang, told in languages.items():
        for kind in sorted({*told["generated"]["kinds"], *((told["real"] or {}).get("kinds", ()))}):
            both = [_share(told[side], "kinds", [kind]) for side in ("generated", "real")]
            rows.append([language_name(lang), kind.replace("_", " "), *both])
    text = "What queries ask for, by their first question word; lists of seventeen languages, in others only the question mark is looked at."
    return {
        "title": "Kinds of generated and real queries",
        "text": text,
        "table": {"columns": ["language", "kind", "generated, %", "real, %"], "rows": rows},
    }


def _share(side: Mapping[str, Any] | None, name: str, keys: Any) -> float | None:
    if side is None:
        return None
    counts = side[name]
    total = sum(counts.values())
    return round(100 * sum(counts.get(str(key), 0) for key in keys) / total, 2) if total else None


def _distances(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows, bars = [], []
    for lang, told in languages.items():
        for name, one in (told["distance"] or {}).items():
            if one:
                label = f"{language_name(lang)}, {name}"
                rows.append([label, *(round(one[key], 4) for key in ("value", "low", "high", "chance"))])
                bars.append({"label": label, **{key: one[key] for key in ("value", "low", "high")}})
    text = (
        "Jensen-Shannon divergence in bits: 0 where both are distributed alike, 1 where they have nothing in common. Lines are 95 % intervals; "
        "chance is what two samples of these sizes would differ by if both came from one distribution."
    )
    columns = ["language, what", "divergence", "from", "to", "chance"]
    chart = {"kind": "bars", "unit": "bits", "bars": bars} if bars else None
    return {
        "title": "How far generated queries are from real ones",
        "text": text,
        "table": {"columns": columns, "rows": rows},
        "chart": chart,
    }
