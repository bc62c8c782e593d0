"""Which command makes a release, by the build that its recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Builds that translate a source's rows and decide on what came out.
TRANSLATIONS = ("translate", "translate-texts")
_COMMANDS = {"translate-texts": "translate --table", "judge": "generate judge"}


def command_of(manifest: Mapping[str, Any]) -> str:
    """The command as it is typed.

    >>> command_of({"recipe": {"build": "judge"}}), command_of({"recipe": {"build": "mine"}})
    ('dsbuild generate judge', 'dsbuild mine')
    """
    build = str(manifest["recipe"]["build"])
    return f"dsbuild {_COMMANDS.get(build, build)}"
