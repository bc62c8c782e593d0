"""Sections that builds fill: every shape is shown escaped or refused in one line, and the pages' colours can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dsbuild.builders.releases.report_sections import section, sections
from dsbuild.cards.page import environment
from dsbuild.cards.plots import bars, histogram
from dsbuild.errors import ReleaseError

ATTACK = "<script>document.title='taken'</script>"
GIVEN: dict[str, Any] = {
    "title": f"False negatives {ATTACK}",
    "text": f"Judged by hand {ATTACK}",
    "table": {"columns": ["lang", "FN %", ATTACK], "rows": [["hi", 3.1, ATTACK], ["ta", None, True]]},
    "chart": {
        "kind": "bars", "unit": f"% {ATTACK}",
        "bars": [{"label": ATTACK, "value": 3.1, "low": 1.0, "high": 7.5}, {"label": "ta", "value": 0}],
    },
}  # fmt: skip


def shown(one: dict[str, Any]) -> str:
    """A section as the page's own template shows it."""
    lines = environment().loader.get_source(environment(), "report.html.jinja")[0]
    body = re.search(r"\{% for one in found\.sections %\}(.*?)\{% endfor %\}", lines, re.DOTALL)
    assert body
    head = '{% from "page_parts.html.jinja" import facts with context %}'
    return str(environment().from_string(head + body[1]).render(one=one))


def test_a_section_has_text_table_and_drawing_and_everything_is_escaped() -> None:
    found = section(GIVEN, "section 1")
    page = shown(found)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert found["table"]["numeric"] == [False, True, False]
    assert all(part in page for part in ("3.1", "–", "yes", '<path class="interval"'))


def test_own_sections_come_first_and_findings_follow(tmp_path: Path) -> None:
    manifest = {
        "sections": [{"title": "Certificates"}],
        "findings": {
            "rows": 3,
            "pair": ["a", "b"],
            "neardup.corpus": {"recall": 0.98},
            "sets": {"x": {"items": 9}, "y": {"rows": 2}},
        },
    }
    found = sections(tmp_path, manifest)
    assert [one["title"] for one in found] == [
        "Certificates",
        "settings and counts",
        "near duplicates: corpus",
        "overlap by evaluation set",
    ]
    assert found[1]["table"]["rows"] == [["rows", 3], ["pair", "a, b"]]
    assert found[3]["table"]["rows"] == [["x", 9, None], ["y", None, 2]]


def test_what_native_speakers_said_is_drawn_with_its_interval(tmp_path: Path) -> None:
    table = {
        "lang": "hi", "table": "corpus", "judged": 40, "yes": 36, "no": 4, "unsure": 0, "disputed": 1, "rate": 0.9, "low": 0.769,
        "high": 0.96, "categories": {"term": 4},
    }  # fmt: skip
    other = {**table, "lang": "ta", "rate": None, "low": None, "high": None}
    said = {"answers": 41, "reviewers": 1, "releases": ["r"], "tables": [table, other], "agreement": []}
    (tmp_path / "review.json").write_text(json.dumps(said))
    (found,) = sections(tmp_path, {})
    assert found["text"].startswith("41 answers of 1 native speaker on")
    assert [row[0] for row in found["table"]["rows"]] == ["Hindi, corpus"]
    assert found["chart"]["bars"] == [{"label": "Hindi, corpus", "value": 90.0, "low": 76.9, "high": 96.0}]


@pytest.mark.parametrize(
    "raw",
    [
        "text", {}, {"title": " "}, {"title": "t", "html": "<b>"}, {"title": "t", "text": 3}, {"title": "t", "table": {"rows": []}},
        {"title": "t", "table": {"columns": ["a", "b"], "rows": [[1]]}}, {"title": "t", "chart": {"kind": "pie"}},
        {"title": "t", "chart": {"kind": "bars", "bars": []}}, {"title": "t", "chart": {"kind": "bars", "bars": [{"label": "a"}]}},
        {"title": "t", "chart": {"kind": "bars", "bars": [{"label": "a", "value": float("nan")}]}},
        {"title": "t", "chart": {"kind": "histogram", "counts": [1], "low": 1, "high": 1}},
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(raw: Any) -> None:
    with pytest.raises(ReleaseError, match="^report, section 1"):
        section(raw, "section 1")


def test_the_documented_section_is_one() -> None:
    text = (Path(__file__).parent.parent / "docs" / "releases.md").read_text("utf-8")
    example = re.search(r"```json\n(\{\"sections\".*?)```", text, re.DOTALL)
    assert example
    (raw,) = json.loads(example[1])["sections"]
    assert "FN %" in shown(section(raw, "section 1"))


def test_drawings_are_well_formed() -> None:
    found = section(GIVEN, "section 1")["chart"]
    root = ElementTree.fromstring(bars(found))
    assert [one[0].text for one in root.iter("rect")] == [f"{ATTACK}: 3.1 (1 to 7.5)", "ta: 0"]
    raw = {
        "kind": "histogram",
        "unit": "margin",
        "counts": [1, 0, 4],
        "low": -1.0,
        "high": 1.0,
        "threshold": 0.5,
        "op": "<",
    }
    drawn = section({"title": "t", "chart": raw}, "section 1")["chart"]
    kinds = [one.get("class") for one in ElementTree.fromstring(histogram(drawn, "margin")).iter("rect")]
    assert kinds == ["falls", "stays"]
    plain = section({"title": "t", "chart": {**raw, "threshold": None}}, "section 1")["chart"]
    assert 'class="bound"' not in histogram(plain)


def colours(scheme: str) -> dict[str, str]:
    css = environment().loader.get_source(environment(), "page.css.jinja")[0]
    blocks = re.findall(r":root \{([^}]*)\}", css)
    return dict(re.findall(r"--(\w+): (#\w+)", blocks[scheme == "dark"]))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2.2."""

    def light(colour: str) -> float:
        full = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([light(one), light(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_drawings_stand_out(scheme: str) -> None:
    found = colours(scheme)
    for ground in (found["ground"], found["soft"]):
        assert all(contrast(found[name], ground) >= 4.5 for name in ("ink", "quiet", "bound"))
        assert all(contrast(found[name], ground) >= 3 for name in ("stays", "falls", "other", "edge", "focus"))


def test_what_a_build_found_is_told_in_words_and_once(tmp_path: Path) -> None:
    findings = {
        "decided_in": "", "depth": 200, "mining": {"en": {"ranks": {"bm25": 12.0}}},
        "model": {"fingerprint": {"kind": "openai", "extra": None}, "terms": {}, "origin": "machine"}, "sets": {"x": {"by": {"hi": [1, 2]}}},
    }  # fmt: skip
    found = {one["title"]: one["table"]["rows"] for one in sections(tmp_path, {"findings": findings})}
    assert found["settings and counts"] == [["candidates looked at of each first stage", 200]]
    assert found["model"] == [["fingerprint", "kind openai"], ["terms", None], ["origin", "machine"]]
    assert found["overlap by evaluation set"] == [["x", "hi (1, 2)"]]
    assert "mining" in found
    told = sections(tmp_path, {"findings": findings, "sections": [{"title": "Hard negatives"}]})
    assert "mining" not in [one["title"] for one in told]


def test_numbers_in_words_stand_to_the_right_and_ids_do_not() -> None:
    columns = ["score", "share", "id", "interval", "rank"]
    rows = [["0.313", "95.6%", "265", "1.0 [0.9, 1.0]", 3], ["-1.25", None, "58", "0.2 [0.1, 0.3]", None]]
    found = section({"title": "t", "table": {"columns": columns, "rows": rows}}, "section 1")
    assert found["table"]["numeric"] == [True, True, False, False, True]


def test_a_row_of_many_columns_is_read_from_top_to_bottom() -> None:
    columns = [f"c{number}" for number in range(12)]
    page = shown(section({"title": "t", "table": {"columns": columns, "rows": [list(range(12))]}}, "section 1"))
    assert page.count('<th scope="row">') == 12
    few = shown(section({"title": "t", "table": {"columns": columns, "rows": [list(range(12))] * 3}}, "section 1"))
    assert few.count('<th scope="col"') == 12
