"""The filtered set: the recipe, and the graph that reads, scores, decides and removes duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from dsbuild import languages, release
from dsbuild.builders.filtering.duplicates import DUPLICATE_OPTIONS, duplicate_nodes
from dsbuild.builders.sections import ReleaseSection, SourceSection, own_name
from dsbuild.builders.sources.flat import FORMS, ID_COLUMNS, LANG_COLUMNS, FlatSource, FlatTable, open_flat
from dsbuild.builders.sources.opened import IDS, RELEASE, as_spec, is_set, name_of
from dsbuild.builders.sources.source import Source, SourceFacts
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.filters import FILTERS, MENDERS, PAIRWISE, SCORERS, TABLE_FILTERS
from dsbuild.filters.profiles import NAMED_THRESHOLDS, check_thresholds, profile, rules_digest, split_settings
from dsbuild.filters.scorers import option_names, scorers_of
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section

AUTO = "auto"
PII_POLICIES = ("flag", "mask", "drop")
SET_IDS = {"corpus": "doc_id", "queries": "query_id"}
# What the rows of a retrieval set are scored and compared on.
_SET_FIELDS = {"corpus": ("title", "text"), "queries": ("text",)}


class FilterRecipe(Section):
    """Filter a table of texts, pairs, or a retrieval set.

    profile: document, sentence, query or pair; filters: groups instead of the profile's; thresholds: default, fineweb2 or a
    file of `dsbuild calibrate`; protected: splits whose rows are never dropped; only: one table of a retrieval set; force: write
    a release even if nothing is kept. Every other key is a group (`gopher`) with its settings.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    build: Literal["filter"] = "filter"
    name: str | None = None
    source: SourceSection
    profile: str
    filters: tuple[str, ...] | None = None
    thresholds: str = "default"
    protected: tuple[str, ...] = ("test", "dev", "validation")
    only: Literal["corpus", "queries"] | None = None
    force: bool = False
    release: ReleaseSection = ReleaseSection()
    groups: dict[str, dict[str, Any]] = Field(default_factory=dict, exclude=True)

    @field_validator("source")
    @classmethod
    def _found(cls, source: SourceSection) -> SourceSection:
        """What was named by its path alone, a release, a BEIR folder or a file, becomes KIND:PATH."""
        return source.model_copy(update={"src": as_spec(source.src)})

    @field_validator("filters", "protected", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """One name is a list of one."""
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _sections(cls, values: Any) -> Any:
        """Groups are keys of the recipe beside the named ones."""
        if not isinstance(values, Mapping):
            return values
        known = set(cls.model_fields) - {"groups"}
        groups: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            if key in known:
                continue
            if key not in FILTERS.names():
                raise UnknownName("key or filter", str(key), [*known, *FILTERS.names()])
            if not isinstance(value, Mapping):
                raise RecipeError(f"{key} is a filter with settings; write {key}.SETTING=VALUE (got {value!r})")
            groups[key] = dict(value)
        return {**values, "groups": groups}

    def title(self) -> str:
        """The build's name: given, or made from the source's kind and own name and the profile."""
        if self.name:
            return self.name
        return f"{name_of(self.source.src)}-{self.profile}"


@dataclass(frozen=True)
class Stream:
    """One table on its way: its id and text columns, where its languages stand, and its profile's name and groups."""

    table: str
    id_column: str
    fields: tuple[str, ...]
    lang_columns: tuple[str, ...]
    profile: str
    groups: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are scored: one text, or the two of a pair."""
        return self.fields if len(self.lang_columns) == 2 else self.fields[-1:]


@dataclass(frozen=True)
class PreparedFilter:
    """A recipe with everything checked that can be checked before work starts."""

    recipe: FilterRecipe
    streams: tuple[Stream, ...]
    nodes: list[Node]
    source_facts: SourceFacts
    qrels: Input | None
    remarks: tuple[str, ...] = ()

    def decided(self, stream: Stream) -> str:
        """The node that holds the rows of a table with their final fate."""
        return f"settle.{stream.table}"


def prepare_filter(recipe: FilterRecipe, digests: Path | None = None) -> PreparedFilter:
    """Open the source, check every filter, setting and threshold, and lay out the graph."""
    from dsbuild.builders import licensing

    check_thresholds(recipe.thresholds)
    chosen = profile(recipe.profile)
    groups = tuple(dict.fromkeys(recipe.filters if recipe.filters is not None else chosen.groups))
    for group in groups:
        if group not in FILTERS.names():
            raise UnknownName("filter", group, FILTERS.names())
        if group in MENDERS.names():
            raise RecipeError(
                f"filter {group} mends the texts of a set that is translated; it scores none, so it cannot be among filters"
            )
    if unused := sorted(set(recipe.groups) - set(groups)):
        raise RecipeError(
            f"{unused[0]}: set, but not among the filters ({', '.join(groups)}); add it: --set filters=[{','.join([*groups, unused[0]])}]"
        )
    kind, _, path = recipe.source.src.partition(":")
    flat = kind in FORMS and not is_set(recipe.source)
    if kind == RELEASE or (flat and kind == "parquet"):
        _refuse_tables(Path(path).expanduser(), kind == RELEASE)
    prepared = _flat(recipe, chosen.table, groups, digests) if flat else _set(recipe, groups, digests)
    masked = any(node.name.startswith("mask.") for node in prepared.nodes)
    licensing.check(prepared.source_facts, {}, recipe.release.license, derived=masked)
    return prepared


def _refuse_tables(folder: Path, sets: bool) -> None:
    """A release of tables of texts has one for each language, so one must be named; sets: whether one of a retrieval set is read."""
    if not (folder / release.MANIFEST).is_file():
        return
    configs = release.read_manifest(folder)["configs"]
    if sets and any(about["table"] == "corpus" for about in configs.values()):
        return
    tables = sorted(name for name, about in configs.items() if about["table"] in IDS)
    named = f"name the table to filter: --src parquet:{folder / tables[0]}" if tables else "it holds no table of texts"
    raise SourceError(f"{folder}: a release; {named}")


def _flat(recipe: FilterRecipe, table: str, groups: tuple[str, ...], digests: Path | None) -> PreparedFilter:
    from dsbuild.builders.sources.readflat import CheckIds, ReadFlat

    if recipe.only:
        raise RecipeError(
            f"only={recipe.only}: {recipe.source.src} is one table; only names a table of a retrieval set"
        )
    kind: FlatTable = "pairs" if table == "pairs" else "documents"
    source = open_flat(recipe.source.src, kind, columns=recipe.source.columns, options=recipe.source.options)
    langs = _said_langs(recipe, kind, set(source.columns))
    _check_calibration(recipe.thresholds, langs)
    files = source.files(digests)
    name = own_name(recipe.source.src)[1] or recipe.source.src
    facts = SourceFacts(
        name, "-".join(dict.fromkeys(langs)) or "mul", recipe.release.license, None, None, None, files, False
    )
    fields = ("text_a", "text_b") if kind == "pairs" else ("text",)
    stream = Stream(kind, ID_COLUMNS[kind], fields, LANG_COLUMNS[kind], recipe.profile, groups)
    nodes = [
        Node("read", ReadFlat.of(source, files, recipe.source.limit or 0)),
        Node("sound", CheckIds(kind), {"rows": Input("read", how="all")}),
    ]
    nodes += _stream_nodes(recipe, stream, Input("read"), langs, None)
    replaced = [source.columns[name] for name in LANG_COLUMNS[kind] if any(langs) and name in source.columns]
    _check_score_columns(recipe, source)
    remarks = [
        f"{kind}: --lang {recipe.source.lang} takes the place of column {column!r}; leave --lang out to go by what the rows say"
        for column in replaced
    ]
    if "protected" in recipe.model_fields_set and recipe.protected and "split" not in source.seen:
        remarks.append(f"{kind}: no column 'split', so protected=[{','.join(recipe.protected)}] protects no row")
    return PreparedFilter(recipe, (stream,), nodes, facts, None, tuple(remarks))


def _check_calibration(thresholds: str, langs: Sequence[str]) -> None:
    """Refuse thresholds of a language in which no text is; where rows say theirs, or it is identified, some may be."""
    if thresholds in NAMED_THRESHOLDS or not set(langs).isdisjoint(("", AUTO)):
        return
    from dsbuild.filters.calibration import read_calibration

    learned = read_calibration(Path(thresholds)).lang
    if learned not in langs:
        raise RecipeError(
            f"thresholds: {thresholds} was learned for {learned}, and the texts are in {', '.join(dict.fromkeys(langs))}; "
            "calibrate with texts of that language"
        )


def _check_score_columns(recipe: FilterRecipe, source: FlatSource) -> None:
    """Refuse a column of scores that no file has; of JSON lines later rows may have it, and the stage that reads it says so."""
    if source.form == "jsonl":
        return
    for group, key in (("exact", "score"), ("neardup", "score"), ("external", "column")):
        wanted = recipe.groups.get(group, {}).get(key)
        if wanted is not None and str(wanted) not in (*source.seen, *source.columns):
            raise UnknownName(f"column of {source.paths[0]} for {group}.{key}:", str(wanted), source.seen)


def _said_langs(recipe: FilterRecipe, kind: FlatTable, columns: set[str]) -> tuple[str, ...]:
    """The language of each text column: a code, "auto", or "" for the column that the rows have."""
    wanted = LANG_COLUMNS[kind]
    said = recipe.source.lang
    if said is None:
        if set(wanted) <= columns:
            return tuple("" for _ in wanted)
        raise SourceError(
            f"{recipe.source.src}: in what language are its texts? Say --lang CODE, "
            "or --lang auto to have them identified"
        )
    # One code may have a dash itself: zh-Hans.
    dashed = kind == "pairs" and said.count("-") == 1 and said not in languages.codes()
    parts = [part.strip() for part in said.split("-" if dashed else ",")]
    if kind == "pairs" and len(parts) == 1:
        parts = parts * 2
    if len(parts) != len(wanted):
        raise RecipeError(f"--lang {said}: {'two codes, such as en,hi' if kind == 'pairs' else 'one code'}")
    return tuple(part if part == AUTO else languages.get(part).code for part in parts)


def _set(recipe: FilterRecipe, groups: tuple[str, ...], digests: Path | None) -> PreparedFilter:
    from dsbuild.builders.cascade import Cascade
    from dsbuild.builders.filtering.merge import MergeQrels
    from dsbuild.builders.sources.source import open_source
    from dsbuild.builders.sources.source_nodes import source_nodes

    if recipe.profile == "pair":
        raise RecipeError("profile pair is for a table of pairs: --src jsonl:FILE, tsv:FILE or parquet:DIR")
    lang = None if recipe.source.lang == AUTO else recipe.source.lang
    source: Source = open_source(
        recipe.source.src, lang=lang, columns=recipe.source.columns, options=recipe.source.options
    )
    facts = source.facts(digests)
    _check_calibration(recipe.thresholds, (facts.lang,))
    read, tables = source_nodes(recipe.source, source, facts)
    streams = []
    for table in ("corpus", "queries"):
        if recipe.only in (None, table):
            name = "query" if table == "queries" else recipe.profile
            own = groups if recipe.profile == name else profile(name).groups
            streams.append(Stream(table, SET_IDS[table], _SET_FIELDS[table], ("lang",), name, tuple(own)))
    nodes = list(read)
    for stream in streams:
        rows = replace(tables[stream.table], how="each")
        qrels = tables["qrels"] if facts.evaluation else None
        nodes += _stream_nodes(recipe, stream, rows, ("",), qrels)
    qrels_in = tables["qrels"]
    if any(stream.table == "corpus" for stream in streams):
        nodes.append(
            Node("merge", MergeQrels(facts.lang), {"qrels": qrels_in, "rows": Input("settle.corpus", how="all")})
        )
        qrels_in = Input("merge", "out", "all")
    decided = {f"{facts.lang}.{stream.table}": Input(f"settle.{stream.table}", how="all") for stream in streams}
    cascade = Cascade((facts.lang,), tuple(stream.table for stream in streams), training=not facts.evaluation)
    nodes.append(Node("cascade", cascade, {**decided, "qrels": qrels_in}))
    return PreparedFilter(recipe, tuple(streams), nodes, facts, tables["qrels"])


def _stream_nodes(
    recipe: FilterRecipe, stream: Stream, rows: Input, langs: tuple[str, ...], qrels: Input | None
) -> list[Node]:
    """Identify, score, decide, find duplicates, settle."""
    from dsbuild.filters.decide_texts import DecideTexts
    from dsbuild.filters.identify import IdentifyRows
    from dsbuild.filters.retain import RetainShare
    from dsbuild.filters.score_rows import ScoreRows
    from dsbuild.filters.settle import Settle

    table = stream.table
    nodes: list[Node] = []
    options, settings = group_settings(stream.profile, stream.groups, recipe.groups)
    policy = options.get("pii", {}).pop("policy", "flag")
    retain = options.get("classifier", {}).pop("retain", None)
    _check_kind(stream, retain)
    for text, column, lang in zip(stream.texts, stream.lang_columns, langs, strict=True):
        suffix = "" if len(langs) == 1 else f"_{column[-1]}"
        model = str(options.get("language", {}).get("model", ""))
        nodes.append(
            Node(
                f"identify.{table}.{column}",
                IdentifyRows(text, lang, column, model, "language" in stream.groups, suffix),
                {"rows": rows},
            )
        )
        rows = Input(nodes[-1].name)
    if policy == "mask":
        nodes.append(Node(f"mask.{table}", _masking(stream, options["pii"], recipe), {"rows": rows}))
        rows = Input(nodes[-1].name)
    scorers = scorers_of(
        [group for group in stream.groups if group in SCORERS.names() and group != "language"], options
    )
    nodes.append(Node(f"score.{table}", ScoreRows.of(scorers, stream.texts, stream.lang_columns), {"rows": rows}))
    by_row = tuple(group for group in stream.groups if group in SCORERS.names())
    decide = DecideTexts(
        table, stream.id_column, stream.profile, by_row, settings, recipe.thresholds, tuple(recipe.protected), stream.lang_columns,
        judged="never dropped" if qrels else "", data=rules_digest(by_row, recipe.thresholds),
    )  # fmt: skip
    inputs = {"rows": Input(f"score.{table}"), **({"qrels": qrels} if qrels else {})}
    if retain is not None:
        nodes.append(Node(f"retain.{table}", RetainShare(_share(retain)), {"rows": Input(f"score.{table}", how="all")}))
        inputs["retained"] = Input(nodes[-1].name, how="all")
    nodes.append(Node(f"decide.{table}", decide, inputs))
    searches, found = duplicate_nodes(stream, options, tuple(recipe.protected))
    nodes += searches
    near = options.get("neardup", {})
    settle = Settle(
        table, stream.id_column, stream.lang_columns[-1], float(near.get("jaccard", 0.8)), "user" if "jaccard" in near else "default"
    )  # fmt: skip
    nodes.append(Node(f"settle.{table}", settle, {"rows": Input(f"decide.{table}"), **found}))
    return nodes


def group_settings(
    profile_name: str, groups: Sequence[str], said: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """What a run says of each group, over what the profile says: options of the filter, and thresholds of the groups that have some.

    The policy of personal data is an option: flag (the default), mask or drop; "drop" is a threshold besides.
    """
    options: dict[str, dict[str, Any]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for group in groups:
        given = {**profile(profile_name).options.get(group, {}), **said.get(group, {})}
        options[group], settings[group] = split_settings(group, given, _option_names(group))
    policy = options.get("pii", {}).get("policy", "flag")
    if policy not in PII_POLICIES:
        raise UnknownName("policy of pii", str(policy), PII_POLICIES)
    if policy == "drop":
        settings["pii"] = {"drop_count": 0, **settings["pii"]}
    return options, {group: given for group, given in settings.items() if given}


def _check_kind(stream: Stream, retain: Any) -> None:
    """Refuse what compares two texts where there is one, and a retained share where each row has two scores."""
    if len(stream.lang_columns) == 2 and retain is not None:
        raise RecipeError("classifier.retain: a pair has two scores; say a threshold instead: classifier.min_score=0.5")
    for group in PAIRWISE:
        if len(stream.lang_columns) == 1 and group in stream.groups:
            raise RecipeError(
                f"filter {group} compares the two texts of a pair; these are {stream.table}: --profile pair"
            )


def _masking(stream: Stream, options: Mapping[str, Any], recipe: FilterRecipe) -> Any:
    from dsbuild.filters.mask_pii import MaskPii

    return MaskPii(
        stream.table, stream.id_column, stream.fields, regions=options.get("regions", ""), protected=tuple(recipe.protected),
        lang_columns=stream.lang_columns,
    )  # fmt: skip


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise RecipeError(f"classifier.retain={value!r}: a share above 0, at most 1")
    return float(value)


def _option_names(group: str) -> list[str]:
    """What of a filter may be set besides its thresholds."""
    if group in TABLE_FILTERS.names():
        return list(DUPLICATE_OPTIONS[group])
    # These are steps of the build, not fields of the scorer.
    return [*{"pii": ["policy"], "classifier": ["retain"]}.get(group, []), *option_names(group)]
