"""The pages of a release that people read and work on in a browser; none of them asks the network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from dsbuild.cards.page import environment

# What the columns of the checks say, in words for people who have not read how they are computed.
_MEANINGS = {
    "copied": "Share of the source's words that stand untranslated in the translation",
    "wrong_script": "Share of letters in a script that the language is not written in",
    "wrong_language": "Evidence for the language against those that it is taken for",
    "loop": "Share of the text that repeats what stands right before it",
    "length_ratio": "Length against what is expected of the pair",
    "length_z": "Length against what is expected, in standard deviations",
    "unrelated": "Log-odds that it translates some other text",
    "logprob": "The engine's own confidence, mean log-probability a token",
    "numbers": "Share of numbers without a partner of the same value",
    "urls": "Addresses on one side only",
    "terms": "Fixed terms that are missing",
    "sentences": "Sentences of the translation less those of the source",
    "missing": "What seems to be left out",
    "added": "What seems to be added",
    "unknown_words": "Share of source words that the engine does not know",
}


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
    return (
        str(template.render(found=found, meaning=meaning, script=script, digest=digest, segments=segments)).rstrip("\n")
        + "\n"
    )


def meaning(rule: Mapping[str, Any], translated: bool) -> str:
    """What a rule looks at, in a few words."""
    return (_MEANINGS.get(rule["rule"], "") if translated else "") or str(rule["column"]).replace("_", " ")


def render_review(facts: Mapping[str, Any], nonce: str) -> str:
    """The review page; every text of a row reaches it as data and is shown as text, never as markup."""
    return str(environment().get_template("review.html.jinja").render(facts=facts, nonce=nonce))
