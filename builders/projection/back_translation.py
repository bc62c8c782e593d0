"""Back-translation: the projected rows of some splits, marked and translated into the source's language again, as a table of their own.

MultiTACRED does so with its test split, to tell what a loss in another language owes to the translation (Hennig et al. 2023). The table's code
says what it is: `en-t-de` is English translated from German (RFC 6497).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dsbuild import languages
from dsbuild.builders.labelled.labelled_rows import WITH_SPLIT
from dsbuild.builders.projection.project_spans import KEPT, ProjectSpans
from dsbuild.builders.projection.projectors import Tool, open_tool
from dsbuild.builders.translation.translated import EngineSection
from dsbuild.errors import RecipeError
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section
from dsbuild.stage import Result, Shard, Workspace

if TYPE_CHECKING:
    from dsbuild.builders.labelled.formats import LabelledSource
    from dsbuild.builders.projection.projected import ProjectRecipe
    from dsbuild.engine import TranslationEngine

_TRANSFORMED = "-t-"


class BackTranslation(Section):
    """Which splits are translated back, and by which engine (None: the one that translated them)."""

    splits: tuple[str, ...] = Field(min_length=1)
    engine: EngineSection | None = None


def code_of(src: str, lang: str) -> str:
    """The code of a table whose texts were translated to `lang` and back: its place in a release, where a language stands otherwise.

    >>> code_of("en", "de")
    'en-t-de'
    """
    return f"{src}{_TRANSFORMED}{lang.lower()}"


def is_back(code: str) -> bool:
    """Whether a code is of a back-translation."""
    return _TRANSFORMED in code


def name_of(src: str, lang: str) -> str:
    """What such a table's language is called.

    >>> name_of("en", "de")
    'English translated back from German'
    """
    return f"{languages.get(src).name} translated back from {languages.get(lang).name}"


@dataclass(frozen=True)
class TurnRows:
    """The projected rows that are kept, of some splits, as a labelled set: source of the way back."""

    splits: tuple[str, ...]

    name: ClassVar[str] = "turn"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (projected, with their split) -> out (`WITH_SPLIT`), shard by shard."""
        return Result({"out": (Shard(self._turned(shard)) for shard in inputs["rows"])})

    def _turned(self, rows: pa.Table) -> pa.Table:
        inside = pc.and_(pc.equal(rows["fate"], KEPT), pc.is_in(rows["split"], pa.array(self.splits)))
        return rows.filter(inside).select(WITH_SPLIT.names).cast(WITH_SPLIT)


def check_back(recipe: ProjectRecipe, known: tuple[str, ...]) -> None:
    """`RecipeError` for a way back without an engine, or of a split that is not among the set's (`known`)."""
    wanted = recipe.back_translation
    if wanted is None:
        return
    if wanted.engine is None and recipe.engine is None:
        raise RecipeError("back_translation: name its engine: --set back_translation.engine.name=…")
    if not known:
        raise RecipeError(
            "back_translation.splits: the set has no splits; name its files by them, such as --src tacred:test=FILE"
        )
    if unknown := [split for split in wanted.splits if split not in known]:
        raise RecipeError(f"back_translation.splits: no split {unknown[0]!r} in the set; it has {', '.join(known)}")


def back_engine(recipe: ProjectRecipe, src: str, used: Mapping[str, TranslationEngine]) -> dict[str, TranslationEngine]:
    """The engine of the way back by the name that a release has for it, checked for every direction; none without a way back.

    used: the other engines of the build by their names; one of the same name that is another model is told apart from it.
    """
    from dsbuild.translate.engines import shared_engine

    wanted = recipe.back_translation and (recipe.back_translation.engine or recipe.engine)
    if not wanted:
        return {}
    engine = shared_engine(wanted.name, wanted.choice().options)
    for lang in recipe.langs:
        engine.check(lang, [src])
    other = wanted.name in used and used[wanted.name].fingerprint() != engine.fingerprint()
    return {f"{wanted.name} (back-translation)" if other else wanted.name: engine}


def way_back(recipe: ProjectRecipe, source: LabelledSource, src: str, lang: str) -> tuple[Tool, list[Node]]:
    """The marker method from a language to the source's, and its two nodes: what is translated back, and the way back itself."""
    wanted = recipe.back_translation
    assert wanted is not None
    engine = wanted.engine or recipe.engine
    method = recipe.model_copy(update={"method": "markers", "engine": engine, "target_precision": None})
    tool = open_tool(method, lang, src)
    code = code_of(src, lang)
    project = ProjectSpans(
        code, "markers", tool.fingerprint, tool.make, source, recipe.rows or "all", recipe.overlaps, texts=src
    )
    turn = Node(f"turn.{lang}", TurnRows(wanted.splits), {"rows": Input(f"project.{lang}", how="all")})
    return tool, [turn, Node(f"project.{code}", project, {"rows": Input(f"turn.{lang}", how="all")})]
