"""The translated retrieval set: the recipe, and the graph that reads, translates, checks and decides."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from dsbuild import languages
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.sources.opened import as_spec, name_of
from dsbuild.builders.sources.source import Source, SourceFacts
from dsbuild.builders.sources.source_nodes import source_nodes
from dsbuild.builders.translation.translated_tables import TranslatedTable, translated_nodes
from dsbuild.engine import Terms, TranslationEngine
from dsbuild.errors import RecipeError
from dsbuild.graph import Input, Node
from dsbuild.recipe import OpenSection, Section
from dsbuild.translate.engines import shared_engine
from dsbuild.translate.find_examples import KINDS, FindExamples
from dsbuild.translate.translation import EngineChoice, TranslateSegments

HARD = "dsbuild.filters.bitext:hard_failures"
FIELDS = {"corpus": ("title", "text"), "queries": ("text",)}
ID_COLUMNS = {"corpus": "doc_id", "queries": "query_id"}

Table = Literal["corpus", "queries"]


class EngineSection(OpenSection):
    """An engine by name; every other key is an option of that engine."""

    name: str

    def choice(self) -> EngineChoice:
        """As the translation stage wants it."""
        return EngineChoice(self.name, dict(self.model_extra or {}))


class ExamplesSection(Section):
    """Similar segments to show to an engine that reads them: file, as the engine `memory` reads it, or a folder of such files.

    k: how many at most; threshold: the least fuzzy match score, in (0, 1]; exact: "use" shows segments of the same words too.
    """

    file: str
    k: int = Field(default=5, ge=1, le=100)
    threshold: float = Field(default=0.5, gt=0, le=1)
    exact: Literal["skip", "use"] = "skip"

    @field_validator("file")
    @classmethod
    def _path(cls, said: str) -> str:
        """KIND:FILE names a file whose ending says its kind."""
        return re.sub(rf"^({'|'.join(KINDS)}):", "", said)


class TranslationRecipe(Section):
    """What every build says that translates a source into other languages.

    glossary: a TSV of fixed terms; examples: similar segments, for an engine that reads them; unreachable: see `TranslateSegments`; bitext:
    thresholds of the checks; max_drop: share of rows (0-1) above which the run stops early.
    """

    build: str
    name: str | None = None
    source: SourceSection
    langs: tuple[str, ...]
    engine: EngineSection
    fallback: EngineSection | None = None
    glossary: Path | None = None
    examples: ExamplesSection | None = None
    mend: bool = True
    protect: tuple[Literal["url", "email", "code", "placeholder", "number"], ...] | None = None
    batch_tokens: int | None = Field(default=None, ge=16)
    unreachable: Literal["stop", "fail"] = "stop"
    bitext: dict[str, float] = Field(default_factory=dict)
    max_drop: float | None = Field(default=None, gt=0, le=1)
    release: ReleaseSection = ReleaseSection()

    @field_validator("source")
    @classmethod
    def _found(cls, source: SourceSection) -> SourceSection:
        """What was named by its path alone, a release, a BEIR folder or a file, becomes KIND:PATH."""
        return source.model_copy(update={"src": as_spec(source.src)})

    @field_validator("langs")
    @classmethod
    def _known(cls, langs: tuple[str, ...]) -> tuple[str, ...]:
        if not langs:
            raise RecipeError("langs: no target language; name at least one, such as hi")
        return tuple(languages.get(lang).code for lang in langs)

    def title(self) -> str:
        """The build's name: given, or made from the source's kind and own name and the languages."""
        if self.name:
            return self.name
        return "-".join([name_of(self.source.src), *self.langs])


class TranslateRecipe(TranslationRecipe):
    """Translate a retrieval set into other languages.

    only: one table; parallel: keep rows that survive in every language; all else as in `TranslationRecipe`.
    """

    build: Literal["translate"] = "translate"
    only: Table | None = None
    parallel: bool = False

    def tables(self) -> tuple[Table, ...]:
        """The tables that are translated."""
        return (self.only,) if self.only else ("corpus", "queries")


@dataclass(frozen=True)
class Prepared:
    """A recipe with everything checked that can be checked before work starts."""

    recipe: TranslateRecipe
    src: str
    nodes: list[Node]
    source_facts: SourceFacts
    tables: Mapping[str, Input]
    terms: Mapping[str, Terms]
    fingerprints: Mapping[str, Mapping[str, Any]]


def prepare(recipe: TranslateRecipe, digests: Path | None = None) -> Prepared:
    """Open the source and the engines, check every direction, and lay out the graph.

    `digests` is a folder that remembers the sha256 of input files.
    Raises before any work: unknown language, engine, option or column; a source that cannot be read; a direction that
    the engine does not serve; a glossary that is not one.
    """
    from dsbuild.builders import licensing
    from dsbuild.builders.sources.source import open_source
    from dsbuild.filters.decide import load_thresholds
    from dsbuild.translate.glossary import load_glossary

    if repeated := sorted({lang for lang in recipe.langs if recipe.langs.count(lang) > 1}):
        raise RecipeError(f"langs: {', '.join(repeated)} named twice")
    source: Source = open_source(
        recipe.source.src, lang=recipe.source.lang, columns=recipe.source.columns, options=recipe.source.options
    )
    facts = source.facts(digests)
    if facts.lang in recipe.langs:
        raise RecipeError(
            f"langs: the source is in {facts.lang} already; leave it out (its tables are part of the release)"
        )
    load_thresholds(recipe.bitext, tgt=None)
    engine = shared_engine(recipe.engine.name, recipe.engine.choice().options)
    engine.check(facts.lang, recipe.langs)
    engines: dict[str, TranslationEngine] = {recipe.engine.name: engine}
    if recipe.fallback:
        fallback = shared_engine(recipe.fallback.name, recipe.fallback.choice().options)
        fallback.check(facts.lang, recipe.langs)
        engines[f"fallback {recipe.fallback.name}"] = fallback
    terms = {name: one.terms() for name, one in engines.items()}
    licensing.check(facts, terms, recipe.release.license, derived=True)
    glossary = load_glossary(recipe.glossary, facts.lang, recipe.langs) if recipe.glossary else {}
    stages = example_stages(recipe.examples, facts.lang, recipe.langs, engines.values(), digests)
    nodes, tables = _nodes(recipe, source, facts, engines, glossary, stages)
    return Prepared(
        recipe, facts.lang, nodes, facts, tables, terms, {name: one.fingerprint() for name, one in engines.items()},
    )  # fmt: skip


def example_stages(
    section: ExamplesSection | None, src: str, langs: Sequence[str], engines: Collection[TranslationEngine], digests: Path | None
) -> dict[str, FindExamples]:  # fmt: skip
    """The stage that finds examples, for each language; none where a recipe names none. Raises where no engine would read them."""
    from dsbuild.digests import file_sha256
    from dsbuild.translate.find_examples import check_examples, files_of

    if section is None:
        return {}
    names = [engine.name for engine in engines if not engine.capabilities.examples]
    if len(names) == len(engines):
        raise RecipeError(f"examples: {', '.join(names)} reads no examples; the engine llm does")
    files = files_of(section.file)
    check_examples(files, src, langs)
    sums = tuple(file_sha256(path, digests) for path in files)
    return {lang: FindExamples(src, lang, sums, section.k, section.threshold, section.exact, files) for lang in langs}


def _nodes(
    recipe: TranslateRecipe,
    source: Source,
    facts: SourceFacts,
    engines: Mapping[str, TranslationEngine],
    glossary: Mapping[str, Mapping[str, str]],
    examples: Mapping[str, FindExamples],
) -> tuple[list[Node], dict[str, Input]]:
    """The whole graph, and where the source's tables are once they are checked and mended."""
    from dsbuild.builders.cascade import Cascade
    from dsbuild.filters.mend import MendMojibake
    from dsbuild.translate.segments import SegmentRows
    from dsbuild.translate.unique import UniqueSegments

    nodes, tables = source_nodes(recipe.source, source, facts)
    text_of: dict[str, Input] = {}
    for table in ("corpus", "queries"):
        text_of[table] = replace(tables[table], how="each")
        if recipe.mend:
            nodes.append(
                Node(f"mend.{table}", MendMojibake(table, ID_COLUMNS[table], FIELDS[table]), {"rows": text_of[table]})
            )
            text_of[table] = Input(f"mend.{table}")
    unit = next(iter(engines.values())).capabilities.unit
    for table in recipe.tables():
        stage = SegmentRows(facts.lang, FIELDS[table], unit if table == "corpus" else "passage")
        nodes.append(Node(f"segment.{table}", stage, {"rows": text_of[table]}))
    nodes.append(
        Node(
            "unique",
            UniqueSegments(whole=("queries",)),
            {table: Input(f"segment.{table}", how="all") for table in recipe.tables()},
        )
    )
    model = {name: dict(engine.fingerprint()) for name, engine in engines.items()}
    translated = [
        TranslatedTable(
            table, ID_COLUMNS[table], FIELDS[table], text_of[table], table == "queries", tables["qrels"] if facts.evaluation else None
        )
        for table in recipe.tables()
    ]  # fmt: skip
    for lang in recipe.langs:
        translate = TranslateSegments(
            facts.lang, lang, recipe.engine.choice(), HARD, recipe.batch_tokens, recipe.protect, dict(glossary.get(lang, {})),
            recipe.fallback.choice() if recipe.fallback else None, unreachable=recipe.unreachable,
        )  # fmt: skip
        nodes += translated_nodes(translate, model, translated, recipe.bitext, examples=examples.get(lang))
    decided = {
        f"{lang}.{table}": Input(f"decide.{lang}.{table}", how="all")
        for lang in recipe.langs
        for table in recipe.tables()
    }
    cascade = Cascade(recipe.langs, recipe.tables(), recipe.parallel, training=not facts.evaluation)
    nodes.append(Node("cascade", cascade, {**decided, "qrels": tables["qrels"]}))
    return nodes, {**text_of, "qrels": tables["qrels"]}
