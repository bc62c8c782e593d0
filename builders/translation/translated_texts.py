"""The translated table of texts: the recipe, and the graph that reads rows, translates some of their columns and keeps all others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from dsbuild import languages
from dsbuild.builders.sources.source import SourceFacts
from dsbuild.builders.translation.instruction_stages import AdaptInstructions, FindPhrases, FixPhrases
from dsbuild.builders.translation.records import CheckRecords
from dsbuild.builders.translation.translated import HARD, TranslationRecipe, example_stages
from dsbuild.builders.translation.translated_tables import TranslatedTable, translated_nodes
from dsbuild.engine import Terms, TranslationEngine
from dsbuild.errors import RecipeError
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section
from dsbuild.translate.engines import shared_engine
from dsbuild.translate.translation import TranslateSegments

TABLE, ID = "documents", "doc_id"


class LabelsSection(Section):
    """Labels whose meaning must survive: the column that they stand in, and every label with what it means ("" where its name says it).

    An engine that reads it is told them; the column stays as it is.
    """

    column: str = "label"
    names: dict[str, str] = Field(min_length=1)

    @field_validator("names", mode="before")
    @classmethod
    def _texts(cls, names: Any) -> Any:
        """Labels that are numbers are labels all the same."""
        return {str(key): value for key, value in names.items()} if isinstance(names, Mapping) else names

    def about(self) -> str:
        """What an engine is told of the set."""
        said = "; ".join(
            f"{json.dumps(name, ensure_ascii=False)} ({meaning})" if meaning else json.dumps(name, ensure_ascii=False)
            for name, meaning in self.names.items()
        )
        return (
            f"The texts belong to a data set whose rows carry one of these labels, or several: {said}. Whoever labels a translation without "
            "its source must give it the same label: keep tone, polarity, irony and what the text aims at. Never write a label into a translation."
        )


class InstructionsSection(Section):
    """Instruction data in IFEval's layout.

    response: a column with a response, translated too and checked; entities: a TSV as `load_glossary` reads it, of named entities and their local
    equivalents; broken, names: see `AdaptInstructions`.
    """

    response: str = ""
    broken: Literal["drop", "flag"] = "drop"
    entities: Path | None = None
    names: Literal["flag", "drop", "off"] = "flag"


class TextsRecipe(TranslationRecipe):
    """Translate columns of a table of texts, row by row; ids, splits, labels and all other columns stay.

    table: documents, or instructions (`InstructionsSection`), which are translated as wholes. fields: the columns that are translated;
    all else as in `TranslationRecipe`.
    """

    build: Literal["translate-texts"] = "translate-texts"
    table: Literal["documents", "instructions"] = "documents"
    fields: tuple[str, ...] = ("text",)
    labels: LabelsSection | None = None
    instructions: InstructionsSection = InstructionsSection()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are translated; `text` is always one of them."""
        response = (self.instructions.response,) if self.table == "instructions" and self.instructions.response else ()
        return tuple(dict.fromkeys(("text", *self.fields, *response)))


@dataclass(frozen=True)
class PreparedTexts:
    """A recipe with everything checked that can be checked before work starts. rows: where the source's rows are."""

    recipe: TextsRecipe
    src: str
    facts: SourceFacts
    nodes: tuple[Node, ...]
    rows: Input
    terms: Mapping[str, Terms]
    fingerprints: Mapping[str, Mapping[str, Any]]

    def final(self, lang: str) -> str:
        """The node with the rows of a language and their fate."""
        return f"{'adapt' if self.recipe.table == 'instructions' else 'decide'}.{lang}.{TABLE}"


def prepare_texts(recipe: TextsRecipe, digests: Path | None = None) -> PreparedTexts:
    """Open the source and the engines, check every direction and option, and lay out the graph; raises before any work."""
    from dsbuild.builders import licensing
    from dsbuild.builders.sources.opened import RELEASE, open_tables
    from dsbuild.filters.decide import load_thresholds

    if repeated := sorted({lang for lang in recipe.langs if recipe.langs.count(lang) > 1}):
        raise RecipeError(f"langs: {', '.join(repeated)} named twice")
    kind, _, path = recipe.source.src.partition(":")
    if kind == RELEASE:
        raise RecipeError(
            f"{path}: a release has several tables; name the one to translate: --src parquet:{path}/LANG-documents"
        )
    if not recipe.source.lang:
        raise RecipeError(
            f"{recipe.source.src}: its language is not known, and the engine needs it; say it: --src-lang en"
        )
    src = languages.get(recipe.source.lang).code
    if src in recipe.langs:
        raise RecipeError(f"langs: the source is in {src} already; leave it out (its table is part of the release)")
    opened = open_tables(recipe.source, table=TABLE, digests=digests)
    if [one.table for one in opened.tables] != [TABLE]:
        raise RecipeError(
            f"{recipe.source.src}: --table {recipe.table} reads one file of rows (jsonl:, tsv: or parquet:), not a set of tables"
        )
    load_thresholds(recipe.bitext, tgt=None)
    sections = {
        recipe.engine.name: recipe.engine,
        **({f"fallback {recipe.fallback.name}": recipe.fallback} if recipe.fallback else {}),
    }
    engines = {name: shared_engine(one.name, one.choice().options) for name, one in sections.items()}
    for engine in engines.values():
        engine.check(src, recipe.langs)
    if recipe.labels and not any(engine.capabilities.about for engine in engines.values()):
        raise RecipeError(f"labels: {recipe.engine.name} reads nothing beside the text; the engine llm does")
    terms = {name: engine.terms() for name, engine in engines.items()}
    licensing.check(opened.facts, terms, recipe.release.license, derived=True)
    graph = _Graph(
        recipe, src, engines,
        *_fixed_terms(recipe, src),
        example_stages(recipe.examples, src, recipe.langs, engines.values(), digests),
    )  # fmt: skip
    nodes, rows = graph.laid_out(opened.tables[0].rows)
    fingerprints = {name: engine.fingerprint() for name, engine in engines.items()}
    return PreparedTexts(recipe, src, opened.facts, (*opened.nodes, *nodes), rows, terms, fingerprints)


def _fixed_terms(recipe: TextsRecipe, src: str) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Per language what an engine must write for terms of the glossary and for named entities, and the entities alone."""
    from dsbuild.translate.glossary import load_glossary

    terms = load_glossary(recipe.glossary, src, recipe.langs) if recipe.glossary else {}
    path = recipe.instructions.entities
    if path is None:
        return terms, {}
    if recipe.table != "instructions":
        raise RecipeError(
            "instructions.entities: named entities are looked for in instruction data only; add --table instructions"
        )
    entities = load_glossary(path, src, recipe.langs)
    for lang, local in entities.items():
        for name, wanted in local.items():
            if (other := terms.get(lang, {}).get(name, wanted)) != wanted:
                raise RecipeError(
                    f"{path}: {name!r} is {wanted!r} in {lang}, but {other!r} in {recipe.glossary}; a term has one translation"
                )
    return {lang: {**terms.get(lang, {}), **local} for lang, local in entities.items()}, entities


@dataclass(frozen=True)
class _Graph:
    recipe: TextsRecipe
    src: str
    engines: Mapping[str, TranslationEngine]
    glossary: Mapping[str, Mapping[str, str]]
    entities: Mapping[str, Mapping[str, str]]
    examples: Mapping[str, Any]

    def laid_out(self, rows: Input) -> tuple[list[Node], Input]:
        """The nodes after the source's own, and where the checked rows are."""
        from dsbuild.filters.mend import MendMojibake
        from dsbuild.translate.segments import SegmentRows
        from dsbuild.translate.unique import UniqueSegments

        recipe = self.recipe
        labels = recipe.labels
        check = CheckRecords(recipe.columns, labels.column if labels else "", tuple(labels.names) if labels else ())
        nodes = [Node("records", check, {"rows": rows})]
        rows = Input("records")
        if recipe.mend:
            nodes.append(Node(f"mend.{TABLE}", MendMojibake(TABLE, ID, recipe.columns), {"rows": rows}))
            rows = Input(f"mend.{TABLE}")
        whole = recipe.table == "instructions"
        unit = "passage" if whole else next(iter(self.engines.values())).capabilities.unit
        nodes += [
            Node(f"segment.{TABLE}", SegmentRows(self.src, recipe.columns, unit), {"rows": rows}),
            Node(
                "unique", UniqueSegments(whole=(TABLE,) if whole else ()), {TABLE: Input(f"segment.{TABLE}", how="all")}
            ),
        ]
        if whole:
            nodes.append(Node("phrases", FindPhrases(), {"rows": Input(rows.node, how="all")}))
        for lang in recipe.langs:
            nodes += self._translated(lang, rows, whole)
        return nodes, rows

    def _translated(self, lang: str, rows: Input, whole: bool) -> list[Node]:
        """Translate, check, put together and decide one language."""
        recipe = self.recipe
        model = {name: dict(engine.fingerprint()) for name, engine in self.engines.items()}
        stage = TranslateSegments(
            self.src, lang, recipe.engine.choice(), HARD, recipe.batch_tokens, recipe.protect, dict(self.glossary.get(lang, {})),
            recipe.fallback.choice() if recipe.fallback else None, recipe.labels.about() if recipe.labels else "",
            recipe.unreachable,
        )  # fmt: skip
        nodes: list[Node] = []
        phrases = None
        every = {"phrases": Input("phrases", how="all"), "said": Input(f"say.{lang}", how="all")}
        if whole:
            nodes += [
                Node(f"say.{lang}", stage, {"segments": Input("phrases")}, model),
                Node(
                    f"fix.{lang}",
                    FixPhrases(dict(self.entities.get(lang, {}))),
                    {"segments": Input("unique"), "rows": Input(rows.node, how="all"), **every},
                ),
            ]
            phrases = Input(f"fix.{lang}")
        table = TranslatedTable(TABLE, ID, recipe.columns, rows)
        nodes += translated_nodes(
            stage, model, [table], recipe.bitext, examples=self.examples.get(lang), phrases=phrases
        )
        if whole:
            wanted = recipe.instructions
            adapt = AdaptInstructions(
                self.src, lang, wanted.response, wanted.broken, dict(self.entities.get(lang, {})), wanted.names
            )
            nodes.append(
                Node(
                    f"adapt.{lang}.{TABLE}", adapt, {"rows": Input(f"decide.{lang}.{TABLE}"), "sources": rows, **every}
                )
            )
        return nodes
