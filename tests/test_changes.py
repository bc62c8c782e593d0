"""The changelog of a data set: every number and name as text."""

from __future__ import annotations

from typing import Any

from dsbuild.cards.changes import render_changelog

SPLIT = {"rows_a": 3, "rows_b": 1_234, "added": 0, "removed": 2, "changed": 1, "moved_in": 0, "moved_out": 0}


def changes(**more: Any) -> dict[str, Any]:
    entry = {"config": "hi|<b>", "splits": {"train": SPLIT}, "added": 0, "columns": {"text": 1}, **more}
    stages = [{"stage": "decide", "rule": "a`b`", "rows": 2}, {"stage": "", "rule": "", "rows": 1}]
    return {
        "bump": {"proposed": "major", "reason": "x", "reasons": [f"reason *{i}*" for i in range(14)]},
        "configs": [entry],
        "stages": stages,
    }


def test_a_section() -> None:
    text = render_changelog("a_set # x", "2.0.0", changes(), "1.0.0", date=None, override="{{ 7 * 7 }} | <script>")
    assert text.startswith("# Changes of a_set &#35; x\n\n## 2.0.0\n\nMAJOR change from 1.0.0: reason &#42;0&#42;;\n")
    assert "reason &#42;11&#42;;\nand 2 more." in text
    assert "because: &#123;&#123; 7 &#42; 7 &#125;&#125; &#124; &#60;script&#62;" in text
    assert "| hi&#124;&#60;b&#62; | train | 1,234 | 0 | 2 | 1 | 0 | 0 |" in text
    assert "| decide | a&#96;b&#96; | 2 |\n| not in the source any more |  | 1 |" in text
    assert "Columns whose values changed: hi&#124;&#60;b&#62; text (1 rows)." in text


def test_earlier_sections_follow() -> None:
    first = render_changelog("s", "1.0.0", changes(), None, date="2026-01-02", override=None)
    assert "## 1.0.0 (2026-01-02)\n\nFirst release: 0 rows in 1 configurations." in first
    second = render_changelog("s", "1.0.1", changes(), "1.0.0", date=None, override=None, earlier=first)
    assert second.count("# Changes of s\n") == 1
    assert second.endswith(first[first.index("## 1.0.0") :])
