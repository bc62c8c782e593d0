"""What `plan` says about the engine: a better or freer choice where one exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def advise(engine: str, options: Mapping[str, Any], src: str, tgts: Sequence[str]) -> list[str]:
    """Lines of advice for a direction; empty when there is nothing better to name."""
    if engine == "mini":
        return ["mini is a demonstration model; name --engine ctranslate2 for a set that somebody trains on"]
    if engine != "ctranslate2":
        return []
    from dsbuild.translate.models import recommend

    found = recommend(src, tgts, str(options.get("model") or ""))
    return [f"for {', '.join(one.tgts)}: {one.id} ({one.license}), {one.why}" for one in found]
