"""dsbuild: build and curate multilingual training and evaluation sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "BatchPlan", "EpochBatches", "LanguageBatches", "Release", "Table", "__version__", "drawn_languages", "load", "plan_batches", "plan_languages",
]  # fmt: skip

if TYPE_CHECKING:
    from dsbuild.api import Release, Table, load
    from dsbuild.batches import (
        BatchPlan,
        EpochBatches,
        LanguageBatches,
        drawn_languages,
        plan_batches,
        plan_languages,
    )

_FROM = {
    "load": "api", "Release": "api", "Table": "api", "BatchPlan": "batches", "EpochBatches": "batches", "plan_batches": "batches",
    "LanguageBatches": "batches", "drawn_languages": "batches", "plan_languages": "batches",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # The command line imports this package and must start without Arrow.
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"dsbuild.{_FROM[name]}"), name)
