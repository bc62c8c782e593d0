"""The projected set: the recipe, and the graph that reads labelled texts, translates or pairs them, and carries their spans over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from dsbuild import executors, languages, release, run
from dsbuild.builders import licensing
from dsbuild.builders.labelled.formats import UNKNOWN_LANG, LabelledSource
from dsbuild.builders.labelled.labelled_set import identified, open_section, source_file, source_files, stated_language
from dsbuild.builders.labelled.splits import SplitSet, files_of, parts_of
from dsbuild.builders.parts import public_recipe
from dsbuild.builders.place import held_folder
from dsbuild.builders.projection.back_translation import BackTranslation, back_engine, check_back, code_of, way_back
from dsbuild.builders.projection.project_spans import ProjectSpans
from dsbuild.builders.projection.projectors import Tool, open_tool, translates
from dsbuild.builders.projection.read_labelled import ReadLabelled, ReadTarget
from dsbuild.builders.projection.read_links import ReadLinks
from dsbuild.builders.projection.review_sheet import SheetSection
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.sources.lines import bare_name
from dsbuild.builders.sources.source import SourceFacts
from dsbuild.builders.sources.text_language import remark_of
from dsbuild.builders.translation.translated import HARD, EngineSection
from dsbuild.builders.translation.translated_tables import TranslatedTable, translated_nodes
from dsbuild.engine import Terms, TranslationEngine
from dsbuild.errors import RecipeError
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section
from dsbuild.run import Reporter
from dsbuild.store import Store

# Stands for the language of a target that has not been told yet.
AUTO = "auto"

Options = dict[str, Any]


class ProjectRecipe(Section):
    """Carry the labels of a set to other languages.

    langs: where to; may be left out where every target is named by its language, or with one target file, whose language is then
    identified. target: existing translations by language; without one the engine translates. alignments: Pharaoh files by language. method:
    markers, constrained, align, candidates, fuzzy or auto; a section of that name holds its options. scorer: the model that constrained and
    candidates ask. target_precision: keep what reaches it (auto). rows: "complete" drops rows with a missing span (relations are so if
    nothing is said); overlaps: see `ProjectSpans`. back_translation: splits that are translated back; review: rows of each language for
    people to judge. unreachable: see `TranslateSegments`.
    """

    build: Literal["project"] = "project"
    name: str | None = None
    source: SourceSection
    langs: tuple[str, ...] = ()
    target: dict[str, SourceSection] = Field(default_factory=dict)
    alignments: dict[str, str] = Field(default_factory=dict)
    method: str = "auto"
    markers: Options = Field(default_factory=dict)
    constrained: Options = Field(default_factory=dict)
    align: Options = Field(default_factory=dict)
    candidates: Options = Field(default_factory=dict)
    fuzzy: Options = Field(default_factory=dict)
    auto: Options = Field(default_factory=dict)
    target_precision: float | None = Field(default=None, gt=0, le=1)
    rows: Literal["all", "complete"] | None = None
    overlaps: Literal["reject", "keep"] = "reject"
    back_translation: BackTranslation | None = None
    review: SheetSection | None = None
    engine: EngineSection | None = None
    scorer: EngineSection | None = None
    protect: tuple[Literal["url", "email", "code", "placeholder", "number"], ...] | None = None
    batch_tokens: int | None = Field(default=None, ge=16)
    unreachable: Literal["stop", "fail"] = "stop"
    bitext: dict[str, float] = Field(default_factory=dict)
    release: ReleaseSection = ReleaseSection()

    @field_validator("langs")
    @classmethod
    def _known(cls, langs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(languages.get(lang).code for lang in langs)

    def title(self) -> str:
        """The build's name: given, or made from the source's kind and own name and the languages."""
        if self.name:
            return self.name
        return "-".join([self.source.src.partition(":")[0], set_name(self.source.src), *self.langs])


@dataclass(frozen=True)
class Projecting:
    """A recipe with everything checked that can be checked before work starts. languages are told; notes: what was found out for that."""

    recipe: ProjectRecipe
    source: LabelledSource
    src: str
    facts: SourceFacts
    nodes: tuple[Node, ...]
    tools: Mapping[str, Tool]
    terms: Mapping[str, Terms]
    fingerprints: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]

    @property
    def translated(self) -> tuple[str, ...]:
        """The languages that an engine translates to."""
        return tuple(lang for lang in self.recipe.langs if lang not in self.recipe.target)

    @property
    def back(self) -> Mapping[str, str]:
        """The tables that are translated back, by their codes: from which language."""
        return {code_of(self.src, lang): lang for lang in self.recipe.langs} if self.recipe.back_translation else {}


def files_read(recipe: ProjectRecipe) -> tuple[Path, ...]:
    """The files that a recipe reads: of source, targets and alignments."""
    sections = (recipe.source, *recipe.target.values())
    links = (Path(path).expanduser() for path in recipe.alignments.values())
    return (*(path for one in sections for path in files_of(open_section(one))), *links)


def prepare(recipe: ProjectRecipe, digests: Path | None = None) -> Projecting:
    """Open sources, engine and method, tell languages, and lay out the graph; what is wrong with them is told before work starts."""
    source = open_section(recipe.source)
    targets = {lang: open_section(section) for lang, section in recipe.target.items()}
    notes: list[str] = []
    src = _source_language(recipe, source, notes)
    recipe = _settled(recipe, source, targets, notes)
    targets = {lang: targets.get(lang) or targets[AUTO] for lang in recipe.target}
    _check(recipe, src, source)
    files = {lang: _named(one, digests) for lang, one in targets.items()}
    read = [file for one in (source, *targets.values()) for file in source_files(one, digests)]
    links = tuple(source_file(Path(path).expanduser(), digests) for path in recipe.alignments.values())
    name = set_name(recipe.source.src)
    facts = SourceFacts(name, src, recipe.release.license, None, None, None, (*read, *links), False)
    engine = _engine(recipe, src, [lang for lang in recipe.langs if lang not in targets])
    used = {recipe.engine.name: engine} if engine and recipe.engine else {}
    used |= back_engine(recipe, src, used)
    terms = {name: one.terms() for name, one in used.items()}
    if engine and any(getattr(one, "spaces", "") in ("script", "yes") for one in parts_of(source)):
        notes.append(
            "the texts that are translated are tokens with spaces between (`it , too`); engines were made for text as people write it: "
            "--set source.options.spaces=detokenized"
        )
    licensing.check(facts, terms, recipe.release.license, derived=True)
    fingerprints = {name: one.fingerprint() for name, one in used.items()}
    tools = {lang: open_tool(recipe, src, lang) for lang in recipe.langs}
    nodes = [
        Node(
            "read",
            ReadLabelled.of(source, src, _named(source, digests), recipe.source.options, recipe.source.limit or 0),
        )
    ]
    itself = translates(recipe.method)
    if engine is not None and not itself:
        nodes += _translating(recipe, src, engine, [lang for lang in recipe.langs if lang not in targets])
    for lang in recipe.langs:
        nodes += _projecting(recipe, source, targets.get(lang), lang, files.get(lang, ()), tools[lang], digests)
        if recipe.back_translation:
            tools[code_of(src, lang)], back = way_back(recipe, source, src, lang)
            nodes += back
    return Projecting(recipe, source, src, facts, tuple(nodes), tools, terms, fingerprints, tuple(notes))


def _source_language(recipe: ProjectRecipe, source: LabelledSource, notes: list[str]) -> str:
    """What was said, what the file says, else what its texts are identified as; `und` where nobody can tell and nothing is translated."""
    found = stated_language(source) or _identified(recipe.source.src, source, "--src-lang", notes)
    if not found and recipe.engine:
        raise RecipeError(
            f"{recipe.source.src}: its language is not known, and the engine needs it; say it: --src-lang en"
        )
    return languages.get(found).code if found else UNKNOWN_LANG


def _settled(
    recipe: ProjectRecipe, source: LabelledSource, targets: Mapping[str, LabelledSource], notes: list[str]
) -> ProjectRecipe:
    """The recipe with a language for the target and for the alignments that came without one, and with what becomes of rows."""
    alignments, sections = dict(recipe.alignments), dict(recipe.target)
    langs = list(recipe.langs) or ([] if AUTO in targets else list(recipe.target))
    if AUTO in targets:
        spec = sections[AUTO].src
        if len(langs) > 1:
            raise RecipeError(f"--target {spec}: of which of {', '.join(langs)}? Name it: --target {langs[0]}={spec}")
        said = (
            langs[0] if langs else stated_language(targets[AUTO]) or _identified(spec, targets[AUTO], "--langs", notes)
        )
        if not said:
            raise RecipeError(f"--target {spec}: its language is not known; say it, for example --langs es")
        langs = [languages.get(said).code]
        sections[langs[0]] = sections.pop(AUTO)
    if AUTO in alignments:
        if len(langs) != 1:
            raise RecipeError(
                f"--alignments {alignments[AUTO]}: of which language? Name it: --alignments LANG={alignments[AUTO]}"
            )
        alignments[langs[0]] = alignments.pop(AUTO)
    rows = recipe.rows or ("complete" if source.relational else "all")
    settled = {"langs": tuple(langs), "alignments": alignments, "target": sections, "rows": rows}
    return recipe.model_copy(update=settled)


def _identified(spec: str, source: LabelledSource, option: str, notes: list[str]) -> str:
    lang, share = identified(source)
    if lang:
        notes.append(f"{public_src(spec)}: {remark_of(lang, share, option)}")
    return lang


def _check(recipe: ProjectRecipe, src: str, source: LabelledSource) -> None:
    """Raise `RecipeError` for what cannot be meant."""
    if not recipe.langs:
        raise RecipeError(
            "project: to which languages? Say --langs de,hi, or give an existing translation: --target KIND:FILE"
        )
    if repeated := sorted({lang for lang in recipe.langs if recipe.langs.count(lang) > 1}):
        raise RecipeError(f"langs: {', '.join(repeated)} named twice")
    if src in recipe.langs:
        raise RecipeError(f"langs: the source is in {src} already; if it is not, say its language: --src-lang CODE")
    for name, said in (("target", recipe.target), ("alignments", recipe.alignments)):
        if unknown := sorted(set(said) - set(recipe.langs)):
            raise RecipeError(f"{name}: for {unknown[0]}, which is not among the languages ({', '.join(recipe.langs)})")
    if lacking := [lang for lang in recipe.langs if lang not in recipe.target]:
        if recipe.engine is None:
            raise RecipeError(
                f"project: {', '.join(lacking)}: a translation or an engine is needed: --target {lacking[0]}=KIND:FILE, or --engine NAME"
            )
        if aligned := [lang for lang in lacking if lang in recipe.alignments]:
            raise RecipeError(f"alignments: {aligned[0]} has no --target; links belong to a translation that is there")
    if recipe.target_precision is not None and recipe.method != "auto":
        raise RecipeError(
            f"--target-precision: only the method auto has a calibrated confidence; {recipe.method} has none"
        )
    splits = tuple(source.parts) if isinstance(source, SplitSet) else ()
    if splits and recipe.source.limit and recipe.target:
        raise RecipeError("--limit: cuts every split, so the rows of a --target would not be told apart; leave it out")
    check_back(recipe, splits)
    if recipe.review and not source.relational:
        raise RecipeError("review: sheets are of relations (tacred:, multitacred:); for other sets: dsbuild review DIR")
    if recipe.review and not recipe.release.source_tables:
        raise RecipeError("review: people need the source beside the translation; leave release.source_tables true")


def _engine(recipe: ProjectRecipe, src: str, langs: list[str]) -> TranslationEngine | None:
    from dsbuild.translate.engines import shared_engine

    if recipe.engine is None or not langs:
        return None
    engine = shared_engine(recipe.engine.name, recipe.engine.choice().options)
    engine.check(src, langs)
    return engine


def _projecting(
    recipe: ProjectRecipe, source: LabelledSource, target: LabelledSource | None, lang: str, files: tuple[str, ...], tool: Tool, digests: Path | None
) -> list[Node]:  # fmt: skip
    """Pair the texts of one language, if they are there already, and project."""
    nodes: list[Node] = []
    inputs = {"rows": Input("read", how="all")}
    if target is not None:
        limited = recipe.source.limit is not None
        stage = ReadTarget.of(target, lang, files, recipe.target[lang].options, limited=limited)
        nodes.append(Node(f"target.{lang}", stage, dict(inputs)))
        inputs["targets"] = Input(f"target.{lang}", how="all")
        if lang in recipe.alignments:
            path = Path(recipe.alignments[lang]).expanduser()
            nodes.append(
                Node(f"links.{lang}", ReadLinks(source_file(path, digests).sha256, limited, path), dict(inputs))
            )
            inputs["links"] = Input(f"links.{lang}", how="all")
    elif not translates(recipe.method):
        inputs["targets"] = Input(f"decide.{lang}.labelled", how="all")
        inputs["segments"] = Input(f"assemble.{lang}.labelled", "map", "all")
    project = ProjectSpans(
        lang, recipe.method, tool.fingerprint, tool.make, source, recipe.rows or "all", recipe.overlaps, recipe.target_precision
    )  # fmt: skip
    return [*nodes, Node(f"project.{lang}", project, inputs)]


def _translating(recipe: ProjectRecipe, src: str, engine: TranslationEngine, langs: list[str]) -> list[Node]:
    """Cut the texts, never inside a span, translate, check, put together and decide."""
    from dsbuild.translate.segments import SegmentRows
    from dsbuild.translate.translation import TranslateSegments
    from dsbuild.translate.unique import UniqueSegments

    assert recipe.engine is not None
    rows = Input("read")
    nodes = [
        Node("segment.labelled", SegmentRows(src, ("text",), engine.capabilities.unit, keep="spans"), {"rows": rows}),
        Node("unique", UniqueSegments(), {"labelled": Input("segment.labelled", how="all")}),
    ]
    model = {recipe.engine.name: dict(engine.fingerprint())}
    table = TranslatedTable("labelled", "id", ("text",), rows)
    for lang in langs:
        translate = TranslateSegments(
            src, lang, recipe.engine.choice(), HARD, recipe.batch_tokens, recipe.protect, unreachable=recipe.unreachable
        )
        nodes += translated_nodes(translate, model, [table], recipe.bitext)
    return nodes


def by_language(said: Sequence[str], option: str) -> dict[str, str]:
    """Values of an option that may begin with `LANG=`, by language; one without stands under `auto`.

    >>> by_language(["es=conll:es.conll"], "--target"), by_language(["links.txt"], "--alignments")
    ({'es': 'conll:es.conll'}, {'auto': 'links.txt'})
    """
    found: dict[str, str] = {}
    for one in said:
        code, equals, value = one.partition("=")
        # `xx=spans:FILE` can only mean a language, one that is not known; `a=b.txt` is a file.
        named = bool(equals) and (code in languages.codes() or (":" not in code and ":" in value))
        lang = languages.get(code).code if named else AUTO
        if lang in found:
            what = f"twice for {lang}" if named else f"several times; name the language of each: {option} de=…"
            raise RecipeError(f"{option}: given {what}")
        found[lang] = value if named else one
    return found


def _named(source: LabelledSource, digests: Path | None) -> tuple[str, ...]:
    """What a set's files are, and of which splits."""
    files = source_files(source, digests)
    splits = [f"{split} " for split in source.parts] if isinstance(source, SplitSet) else [""] * len(files)
    return tuple(
        f"{split}{file.name} {file.size_bytes} {file.sha256}" for split, file in zip(splits, files, strict=True)
    )


def set_name(spec: str) -> str:
    """What a labelled file is called, without its endings.

    >>> set_name("conll:data/en.test.conll.gz")
    'en.test'
    """
    names = (bare_name(Path(part.rpartition("=")[2])) for part in spec.partition(":")[2].split(","))
    return re.sub(r"[^\w.]+", "-", "-".join(names)).strip("-.") or "set"


def public_src(spec: str) -> str:
    """KIND:FILE as a release may say it.

    >>> public_src("xquad:data/en.json")
    'xquad:en.json'
    >>> public_src("tacred:train=data/a.json,test=data/b.json")
    'tacred:train=a.json,test=b.json'
    """
    kind, colon, path = spec.partition(":")
    parts = (part.rpartition("=") for part in path.split(","))
    return f"{kind}{colon}{','.join(f'{split}{equals}{Path(file).name}' for split, equals, file in parts)}"


def public_project(recipe: ProjectRecipe) -> dict[str, Any]:
    """The recipe as a release may say it: files by their names."""
    shown = public_recipe(recipe.model_dump(mode="json", exclude_none=True))
    shown["source"]["src"] = public_src(recipe.source.src)
    for section in shown["target"].values():
        section["src"] = public_src(section["src"])
    return {key: value for key, value in shown.items() if value not in ({}, [])}


def run_project(
    recipe: ProjectRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe and write its draft release; returns what the command prints."""
    from dsbuild.builders.projection import projected_draft, review_sheet

    chosen = executors.make(executor, workers)
    projecting = prepare(recipe, store / "digests")
    title = projecting.recipe.title()
    with held_folder(out, title) as folder:
        release.check_replaceable(folder, asdict(projecting.facts))
        progress = run.run(projecting.nodes, Store(store), title, chosen, reporter)
        found = projected_draft.write_projected(folder, projecting, progress)
        sheet = projecting.recipe.review
        sheets = review_sheet.write_sheets(folder, projecting.recipe.langs, sheet.rows, sheet.seed) if sheet else {}
        return {**found, **({"sheets": sheets} if sheets else {})}
