"""The datasheet: seven sections of questions, answered by the facts of a release and by what people wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dsbuild.cards.answers import NOT_ANSWERED, Answers, sections
from dsbuild.cards.card import _environment, cell
from dsbuild.cards.column_types import parse

DATASHEET = "DATASHEET.md"

_KINDS = {
    "corpus": "a passage with its title",
    "queries": "a query",
    "qrels": "a judgement of a passage for a query; only what was judged, a 0 among it",
    "documents": "a text",
    "pairs": "two texts with a label or a score",
    "labelled": "a text with the spans that are marked in it and the relations between them",
    "candidates": "a document that a first stage found for a query, with its rank and score; it is no judgement",
    "negatives": "a document that a rule chose as a hard negative of a query; it is no judgement",
}
_TRANSLATED = "translated"


def datasheet(facts: Mapping[str, Any], answers: Answers) -> str:
    """DATASHEET.md from `facts.json` and the answers; what only a person can answer and nobody did is "Not answered"."""
    made = _environment()
    made.filters |= {
        "kind": lambda said: parse(said).told(),
        "quoted": quoted,
        "short": _short,
        "percent": _percent,
        "hundredth": _hundredth,
    }
    splits = [{**one, "lacks": sorted({*one["nulls"], *one["empty"]})} for one in facts["splits"]]
    text: str = made.get_template("datasheet.md.jinja").render(
        f={**facts, "splits": splits}, answers=answers, sections=sections(), not_answered=NOT_ANSWERED,
        lost=[(lang, table, rows) for lang, tables in facts["lost"].items() for table, rows in tables.items() if rows],
        kinds={one["table"]: _KINDS.get(one["table"], "a row") for one in splits}, lost_reasons=_reasons(facts),
        translated=[lang for lang, counts in facts["origins"].items() if any(_TRANSLATED in origin for origin in counts)],
        generated=[lang for lang, counts in facts["origins"].items() if "generated" in counts],
        limit=facts["recipe"].get("source", {}).get("limit"), sampled=[note for note in facts["notes"] if "limit" in note],
        filters=sorted({name for groups in facts["filters"].values() for name in groups}),
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def quoted(answer: str) -> str:
    r"""An answer as a Markdown quotation: its paragraphs are text, whatever markup, HTML or template they look like.

    >>> quoted("1. <b>x</b>\n\n- {{ y }}")
    '> 1&#46; &#60;b&#62;x&#60;/b&#62;\n>\n> &#45; &#123;&#123; y &#125;&#125;'
    """
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", answer.strip()))
    return "\n>\n".join(f"> {_plain(part)}" for part in paragraphs if part)


def _plain(text: str) -> str:
    """One line of text that no renderer takes for anything else: nothing at its start that makes a list, no formula."""
    safe = cell(text).replace("$", "&#36;")
    return re.sub(r"^([-+=:])|(?<=^)(\d+)([.)])", _reference, safe)


def _reference(found: re.Match[str]) -> str:
    sign = found[1] or found[3]
    return f"{found[2] or ''}&#{ord(sign)};"


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def _hundredth(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _reasons(facts: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    return [
        (lang, table, reason, rows)
        for lang, tables in facts["accounting"].items()
        for table, row in tables.items()
        for reason, rows in row.get("reasons", {}).items()
    ]
