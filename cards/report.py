"""The pages of a release that people read and work on in a browser; none of them asks the network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from dsbuild.cards.page import environment


def render_page(found: Mapping[str, Any]) -> str:
    """`report.html`: complete without a script; the one that it holds, named by its digest, only sorts and hides."""
    script = resources.files("dsbuild.cards").joinpath("report.js.jinja").read_text("utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    segments = sorted(
        {
            part["segment"]
            for lang in found["langs"]
            for table in lang["tables"]
            for row in table["examples"]
            for side in row["sides"]
            for field in side["fields"]
            for part in field["parts"]
            if part["segment"] is not None
        }
    )
    template = environment().get_template("report.html.jinja")
    return str(template.render(found=found, script=script, digest=digest, segments=segments)).rstrip("\n") + "\n"


def render_review(facts: Mapping[str, Any], nonce: str) -> str:
    """The review page; every text of a row reaches it as data and is shown as text, never as markup."""
    return str(environment().get_template("review.html.jinja").render(facts=facts, nonce=nonce))
