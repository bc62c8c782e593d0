"""Stages for instruction data: the words that an instruction's checks look for are translated first, then once for the prompt and for the check."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pyarrow as pa

from dsbuild import parquet
from dsbuild.builders.translation.named_entities import NamedEntities
from dsbuild.errors import SourceError, UnknownName
from dsbuild.filters import instructions
from dsbuild.filters.numbers import numbers
from dsbuild.stage import UNIT_SEGMENTS, Counts, Result, Shard, Shards, Workspace, verdict
from dsbuild.translate.translation import PHRASES
from dsbuild.translate.unique import UNIQUE

# Columns of IFEval's rows, and of this project's release of them.
IDS, ARGUMENTS = "instruction_id_list", "kwargs"
# Arguments that say how many: they stand in the prompt as numbers.
_COUNTS = frozenset(
    {
        "num_words", "num_sentences", "num_paragraphs", "num_bullets", "num_highlights", "num_sections", "num_placeholders", "frequency",
        "let_frequency", "capital_frequency",
    }
)  # fmt: skip

Instruction = tuple[str, dict[str, Any]]


def instructions_of(row: Mapping[str, Any]) -> list[Instruction]:
    """The instructions of a row with the arguments that are given; a `SourceError` says what is wrong with them."""
    if missing := [name for name in (IDS, ARGUMENTS) if name not in row]:
        raise SourceError(
            f"row {row['doc_id']}: no {missing[0]}; instruction data has {IDS} and {ARGUMENTS}, as IFEval has them"
        )
    names, given = row[IDS] or [], row[ARGUMENTS] or []
    given = json.loads(given) if isinstance(given, str) else given
    if len(names) != len(given):
        raise SourceError(f"row {row['doc_id']}: {len(names)} in {IDS}, but {len(given)} in {ARGUMENTS}")
    for name in names:
        if name not in instructions.KNOWN:
            raise SourceError(f"row {row['doc_id']}: {UnknownName('instruction', name, instructions.KNOWN)}")
    return [
        (name, {key: value for key, value in (one or {}).items() if value is not None})
        for name, one in zip(names, given, strict=True)
    ]


@dataclass(frozen=True)
class FindPhrases:
    """The distinct phrases that the instructions of a table look for, each to be translated whole."""

    name: ClassVar[str] = "phrases"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (all) -> out (`UNIQUE`), in the order of the rows. Memory grows with the phrases."""
        found = list(
            dict.fromkeys(
                phrase
                for row in _rows(inputs["rows"])
                for one in instructions_of(row)
                for phrase in instructions.phrases(*one)
            )
        )
        shards = [found[start : start + UNIT_SEGMENTS] for start in range(0, max(1, len(found)), UNIT_SEGMENTS)]
        return Result({"out": (Shard(table) for table in _numbered(shards))})


@dataclass(frozen=True)
class FixPhrases:
    """What must come out of each text in one fixed form: phrases of its row as they were translated on their own, and marks as they are.

    entities: what stands for a phrase that is a named entity of this list, whatever an engine says.
    """

    entities: Mapping[str, str] = field(default_factory=dict)

    name: ClassVar[str] = "fix_phrases"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """segments (`UNIQUE`), rows, phrases (`UNIQUE`) and said (`TRANSLATED`), all of these -> out (`PHRASES`), row by row."""
        said = {**translations(inputs["phrases"], inputs["said"]), **self.entities}
        wanted: dict[str, dict[str, str]] = {}
        for row in _rows(inputs["rows"]):
            own: dict[str, str] = {}
            for one in instructions_of(row):
                own |= {phrase: said[phrase] for phrase in instructions.phrases(*one) if phrase in said}
                own |= {mark: mark for mark in instructions.marks(*one)}
            if own:
                wanted.setdefault(row["text"].strip(), {}).update(own)
        segments: pa.Table = inputs["segments"]
        fixed = [
            [{"source": source, "target": target} for source, target in wanted.get(text, {}).items()]
            for text in segments["text"].to_pylist()
        ]
        out = pa.table([segments["uid"], pa.array(fixed, PHRASES.field("phrases").type)], schema=PHRASES)
        return Result({"out": [Shard(out)]})


@dataclass(frozen=True)
class AdaptInstructions:
    """Carry the arguments of instructions over to a translation, and check by code that each instruction still holds.

    response: the column of a response that was translated too, "" for none; broken: what becomes of a row with an instruction that its
    translation broke: it is dropped, or flagged; entities: named entities and what must stand for each in prompt, response and arguments;
    names: what becomes of a row where another name of the source is not found in the translation. An instruction that has no meaning in the
    language is taken out of the row's list, with a verdict.
    """

    src: str
    lang: str
    response: str = ""
    broken: Literal["drop", "flag"] = "drop"
    entities: Mapping[str, str] = field(default_factory=dict)
    names: Literal["flag", "drop", "off"] = "flag"

    name: ClassVar[str] = "adapt"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (decided) and sources, row by row, phrases and said (all) -> out: rows with the instructions of their language."""
        said = {**translations(inputs["phrases"], inputs["said"]), **self.entities}
        rows: list[dict[str, Any]] = inputs["rows"].to_pylist()
        verdicts: list[dict[str, Any]] = []
        given: dict[str, list[Any]] = {IDS: [], ARGUMENTS: [], "fate": []}
        n_kept = 0
        for row, source in zip(rows, inputs["sources"].to_pylist(), strict=True):
            kept: list[Instruction] = []
            # Rule, what is amiss, and what becomes of the row.
            broken: list[tuple[str, str, str]] = []
            for name, arguments in instructions_of(source):
                if why := instructions.meaningless(name, arguments, self.lang):
                    verdicts.append(self._verdict(row, "flagged", why, name))
                    continue
                carried = instructions.carried(name, arguments, said)
                broken += [
                    (rule, f"{name}: {what}", self.broken)
                    for rule, what in self._broken(row, source, name, arguments, carried)
                ]
                kept.append((name, carried))
            broken += self._entities_lost(row, source, kept)
            # What drops the row is its reason, and comes first.
            broken.sort(key=lambda one: one[2] != "drop")
            alive = row["fate"] == "kept"
            lost = alive and bool(broken) and broken[0][2] == "drop"
            for place, (rule, detail, action) in enumerate(broken if alive else ()):
                outcome = "dropped" if action == "drop" else "flagged"
                verdicts.append(self._verdict(row, outcome, rule, detail, primary=place == 0))
            given[IDS].append([name for name, _ in kept])
            given[ARGUMENTS].append([arguments for _, arguments in kept])
            given["fate"].append("dropped" if lost else row["fate"])
            n_kept += not lost
        out: pa.Table = inputs["rows"]
        for name, values in given.items():
            column = out.schema.field(name)
            if pa.types.is_string(column.type) and name == ARGUMENTS:
                values = [json.dumps(one, ensure_ascii=False) for one in values]
            out = out.set_column(out.column_names.index(name), column, pa.array(values, column.type))
        return Result({"out": [Shard(out)]}, verdicts, Counts(len(rows), n_kept, len(rows) - n_kept))

    def _broken(
        self, row: Mapping[str, Any], source: Mapping[str, Any], name: str, arguments: Mapping[str, Any], carried: Mapping[str, Any]
    ) -> Iterator[tuple[str, str]]:  # fmt: skip
        """Rules that a translated instruction breaks, and what is amiss."""
        looked = zip(_looked_for(name, arguments), _looked_for(name, carried), strict=True)
        for old, new in looked:
            if instructions.in_prompt(old, source["text"]) and not instructions.in_prompt(new, row["text"]):
                yield "phrase_lost", new
        asked, there = _values(source["text"], self.src), _values(row["text"], self.lang)
        for key in sorted(_COUNTS & set(arguments)):
            if float(arguments[key]) in asked and float(arguments[key]) not in there:
                yield "number_lost", f"{key} {arguments[key]}"
        if self.response:
            kept = instructions.holds(name, arguments, source[self.response], self.src)
            if kept and instructions.holds(name, carried, row[self.response], self.lang) is False:
                yield "response_breaks", self.response

    def _entities_lost(
        self, row: Mapping[str, Any], source: Mapping[str, Any], kept: Sequence[Instruction]
    ) -> Iterator[tuple[str, str, str]]:
        """Named entities of prompt, response and arguments that the translation lacks: rule, where and what, what becomes of the row."""
        named = NamedEntities(self.src, self.lang, self.entities)
        own = [one for instruction in instructions_of(source) for one in _looked_for(*instruction)]
        for column in filter(None, ("text", self.response)):
            for listed, what in named.lost(source[column], row[column], own):
                if listed or self.names != "off":
                    yield "entity_lost", f"{column}: {what}", self.broken if listed else self.names
        had = [
            (name, given)
            for name, given in instructions_of(source)
            if not instructions.meaningless(name, given, self.lang)
        ]
        for (name, before), (_, after) in zip(had, kept, strict=True):
            for old, new in zip(instructions.phrases(name, before), instructions.phrases(name, after), strict=True):
                for what in named.listed_lost(old, new):
                    yield "entity_lost", f"{name}: {what}", self.broken

    def _verdict(
        self, row: Mapping[str, Any], outcome: str, rule: str, detail: str, *, primary: bool = True
    ) -> dict[str, Any]:
        return verdict("documents", self.lang, row["doc_id"], self.name, outcome, rule, detail=detail, primary=primary)


def translations(phrases: Sequence[pa.Table], said: Sequence[pa.Table]) -> dict[str, str]:
    """Phrases and their translations; a phrase whose translation failed is not there."""
    found: dict[str, str] = {}
    for asked, answered in zip(phrases, said, strict=True):
        for phrase, text, failure in zip(
            asked["text"].to_pylist(), answered["text"].to_pylist(), answered["failure"].to_pylist(), strict=True
        ):
            if not failure and text.strip():
                found[phrase] = text.strip()
    return found


def _looked_for(name: str, arguments: Mapping[str, Any]) -> list[str]:
    return [*instructions.phrases(name, arguments), *instructions.marks(name, arguments)]


def _values(text: str, lang: str) -> set[float]:
    found = numbers(text, lang)
    return set(found.said.union(*found.written))


def _rows(shards: Shards) -> Iterator[dict[str, Any]]:
    for path in shards.paths:
        yield from parquet.read(path).to_pylist()


def _numbered(shards: Sequence[Sequence[str]]) -> Iterator[pa.Table]:
    start = 0
    for some in shards:
        uids = pa.array(range(start, start + len(some)), pa.int64())
        yield pa.table([uids, pa.array(some, pa.string()), pa.array([True] * len(some), pa.bool_())], schema=UNIQUE)
        start += len(some)
