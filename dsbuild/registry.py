"""Named things, loaded when they are asked for: engines, sources, filters, stages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from dsbuild.errors import UnknownName


class Registry:
    """An explicit table of name -> "module:Object"; nothing is imported until `get`.

    A name that is not in the table raises `UnknownName` with the nearest one.
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._table)

    def target(self, name: str) -> str:
        """The "module:Object" behind a name."""
        try:
            return self._table[name]
        except KeyError:
            raise UnknownName(self.kind, name, self._table) from None

    def get(self, name: str) -> Any:
        """The object behind a name, imported now."""
        return load(self.target(name))


def load(target: str) -> Any:
    """Import "module:Object" and return the object."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
