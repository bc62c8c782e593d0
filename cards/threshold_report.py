"""The page of a dry run: what each threshold keeps and drops, drawn and with rows on either side of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsbuild.cards.page import environment


def render_report(found: Mapping[str, Any]) -> str:
    """One HTML file that needs no network. Texts of rows are escaped: they are data of strangers."""
    return str(environment().get_template("threshold_report.html.jinja").render(found=found))
