"""The stage that carries spans to another language: a method answers for every span, and every answer is kept with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Protocol, get_args

import pyarrow as pa

from dsbuild import parquet
from dsbuild.builders.labelled.formats import LabelledSource
from dsbuild.builders.labelled.labelled_rows import EXTRA, SPLIT, Pairs, as_row
from dsbuild.builders.projection.relation_errors import entities_lost, error_of, without_swapped
from dsbuild.project.projector import Outcome, Parallel, Projected, Projector
from dsbuild.spans import Labelled, Relation, Span, problems
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict
from dsbuild.tables import LABELLED
from dsbuild.text import graphemes

KEPT: Final = "kept"
LOW: Final = "low_confidence"
REJECTED: Final = "rejected"
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
# Reasons that are the stage's own; each method has a list besides.
EMPTY, UNSOUND, CLASH, LOST_ROW, UNANSWERED = (
    "empty_target",
    "unsound",
    "overlaps_another",
    "no_translation",
    "no_answer",
)
CUT = "cuts_a_character"
INCOMPLETE = "spans_missing"
# A joined emoji is hardly longer.
_REACH = 40
_JOINER = "\u200d"

_PIECE = pa.struct([pa.field("start", pa.int32(), nullable=False), pa.field("end", pa.int32(), nullable=False)])
# One row for each span of the source: where it was, where it went, and who says so.
SPANS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("span_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("src_start", pa.int32(), nullable=False),
        pa.field("src_end", pa.int32(), nullable=False),
        pa.field("src_text", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # "" for a kept span
        pa.field("method", pa.string(), nullable=False),
        pa.field("confidence", pa.float64()),  # null where the method has none
        pa.field(
            "pieces", pa.list_(pa.field("element", _PIECE, nullable=False)), nullable=False
        ),  # none unless kept or low_confidence
        pa.field("tgt_text", pa.string(), nullable=False),
    ]
)
# Beside the spans of a row, in their order: how each got there.
HOW = (
    pa.field("confidence", pa.list_(pa.float64()), nullable=False),
    pa.field("method", pa.list_(pa.string()), nullable=False),
)
COUNTED = (
    pa.field("n_source_spans", pa.int32(), nullable=False),
    pa.field("n_missing", pa.int32(), nullable=False),  # of these, low in confidence or rejected
)
ROWS = pa.schema([*LABELLED, *HOW, *COUNTED, EXTRA])


class Translating(Protocol):
    """A method that makes the translation itself, because its marks go through it.

    A class says so by `translates = True`; where no translation is given, it is asked for the texts too.
    """

    translates: ClassVar[bool]

    def translated(self, pairs: Sequence[Parallel]) -> Iterator[tuple[str, list[Projected]]]:
        """For each pair, whose target is empty, its text without marks ("" where there is none) and an answer for each span."""


@dataclass(frozen=True)
class Carried:
    """A target row, the answer for each span of its source, and the relations that lost an end."""

    item: Labelled
    answers: tuple[Projected, ...]
    orphaned: tuple[Relation, ...]

    @property
    def missing(self) -> int:
        """Spans that a reader of the target should know to be absent, though they are there."""
        return sum(one.outcome in (LOW, REJECTED) for one in self.answers)


@dataclass(frozen=True)
class ProjectSpans:
    """Carry the spans of a whole set to one language.

    method, options: what projects, as its fingerprint says it; the projector itself is made once by `tool`; source: the format, which
    knows how a row of it is carried to another text. rows: what becomes of a row with a
    missing span: "all" rows stay and say so in `n_missing`, "complete" drops them; overlaps: "reject" the less sure of two spans
    that share text in the target and did not in the source, or "keep" both; precision: what `--target-precision` promised, for verdicts;
    texts: the language of the texts where `lang` says more than that (`en-t-de`).
    """

    lang: str
    method: str
    options: Mapping[str, Any]
    tool: Any = field(compare=False)
    source: LabelledSource = field(compare=False)
    rows: Literal["all", "complete"] = "all"
    overlaps: Literal["reject", "keep"] = "reject"
    precision: float | None = None
    texts: str = ""

    name: ClassVar[str] = "project"
    version: ClassVar[int] = 3
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (`ITEMS`), targets (id, text, lang, fate), segments and links where there are any -> out (`ROWS`), spans (`SPANS`).

        Without targets the method translates (`Translating`).
        """
        pairs = Pairs(
            self.texts or self.lang, inputs["rows"], inputs.get("targets"), inputs.get("segments"), inputs.get("links")
        )
        # Shards wait on disk: counts are told before any is written, and a set may be larger than memory.
        made = {
            name: [work.scratch() / f"{name}-{number}.parquet" for number in range(len(inputs["rows"]))]
            for name in ("out", "spans")
        }
        verdicts: list[dict[str, Any]] = []
        outcomes: Counter[str] = Counter()
        fates: Counter[str] = Counter()
        projector: Projector = self.tool()
        try:
            projector.fit(pairs)
            for number in range(len(inputs["rows"])):
                shard = pairs.shard(number)
                if "targets" in inputs:
                    targets = inputs["targets"][number]
                    said = self._asked(projector, shard, _fates(targets))
                else:
                    shard, said, targets = self._translated(projector, shard)
                # A translation made here has no tokens and no layout; those of its source are another text's.
                given = "targets" in inputs and "segments" not in inputs
                extras = [json.loads(one) for one in targets["extra"].to_pylist()] if given else [{}] * len(shard)
                carried = [self._placed(*one) for one in zip(shard, said, extras, strict=True)]
                before = _fates(targets)
                kept = [self._fate(one, fate) for one, fate in zip(carried, before, strict=True)]
                rows = _rows(carried, kept, targets)
                if SPLIT.name in (held := inputs["rows"][number]).column_names:
                    rows = rows.append_column(SPLIT, held[SPLIT.name])
                parquet.write_unit(made["out"][number], rows)
                parquet.write_unit(made["spans"][number], _spans(shard, carried))
                for pair, one, was, fate in zip(shard, carried, before, kept, strict=True):
                    verdicts += self._verdicts(pair.source, one, was, fate, retold="targets" not in inputs)
                    outcomes.update(answer.outcome for answer in one.answers)
                fates.update(kept)
        finally:
            projector.close()
        counts = Counts(fates.total(), fates[KEPT], fates["dropped"], fates["failed"])
        facts = {
            "spans": {name: outcomes[name] for name in OUTCOMES},
            "learned": learned(projector),
            "deterministic": projector.deterministic,
        }
        return Result(
            {name: (Shard(parquet.read(path)) for path in paths) for name, paths in made.items()},
            verdicts,
            counts,
            facts,
        )

    def _asked(
        self, projector: Projector, pairs: Sequence[Parallel], fates: Sequence[str]
    ) -> list[Sequence[Projected]]:
        """The answers for each pair; a row without a text is not shown to the method."""
        shown = [pair.target.strip() != "" and fate == KEPT for pair, fate in zip(pairs, fates, strict=True)]
        answers = projector.project([pair for pair, show in zip(pairs, shown, strict=True) if show])
        return [
            next(answers)
            if show
            else [_refused(span, self.method, EMPTY if fate == KEPT else LOST_ROW) for span in pair.source.spans]
            for pair, show, fate in zip(pairs, shown, fates, strict=True)
        ]

    def _translated(
        self, projector: Any, pairs: Sequence[Parallel]
    ) -> tuple[list[Parallel], list[Sequence[Projected]], pa.Table]:
        """Pairs with the texts that the method made, its answers, and the texts as targets; a row that it could not translate fails."""
        made: list[Parallel] = []
        said: list[Sequence[Projected]] = []
        for pair, (text, answers) in zip(pairs, projector.translated(pairs), strict=True):
            made.append(replace(pair, target=text))
            said.append(
                answers if text.strip() else [_refused(span, self.method, LOST_ROW) for span in pair.source.spans]
            )
        fates = [KEPT if pair.target.strip() or not pair.source.text.strip() else "failed" for pair in made]
        return made, said, pa.table({"fate": pa.array(fates, pa.string())})

    def _placed(self, pair: Parallel, said: Sequence[Projected], extra: Mapping[str, Any]) -> Carried:
        """A target row from the answers, whatever a method said: what is not sound is rejected, never written."""
        by_id = {one.span_id: one for one in said}
        answers = [self._sound(pair, span, by_id.get(span.span_id)) for span in pair.source.spans]
        if self.overlaps == "reject":
            answers = _without_clashes(pair.source.spans, answers)
        if self.source.relational:
            answers = without_swapped(pair.source, answers, pair.target)
        labels = {span.span_id: span.label for span in pair.source.spans}
        spans = tuple(Span(one.span_id, labels[one.span_id], one.pieces) for one in answers if one.outcome == KEPT)
        target = Labelled(pair.source.id, pair.target, pair.tgt_lang, extra=extra)
        item = self.source.carried(pair.source, target, spans)
        orphaned = tuple(one for one in pair.source.relations if one not in item.relations)
        return Carried(item, tuple(answers), orphaned)

    def _sound(self, pair: Parallel, span: Span, answer: Projected | None) -> Projected:
        if answer is None:
            return _refused(span, self.method, UNANSWERED)
        if answer.outcome not in (KEPT, LOW):
            return answer
        placed = Labelled(pair.source.id, pair.target, pair.tgt_lang, (Span(span.span_id, span.label, answer.pieces),))
        if not answer.pieces or problems(placed):
            return _refused(span, answer.method, UNSOUND)
        if any(_inside_character(pair.target, place) for piece in answer.pieces for place in piece):
            return _refused(span, answer.method, CUT)
        return answer

    def _fate(self, one: Carried, fate: str) -> str:
        if fate != KEPT:
            return fate
        # A given translation may be empty; nobody learns from a row without a text, and no reader takes one.
        lost = not one.item.text.strip() or (self.rows == "complete" and self._lacking(one))
        return "dropped" if lost else fate

    def _lacking(self, one: Carried) -> int:
        """Spans without which the row is not complete: a relation needs its two, also one that the translation has no word for."""
        return sum(answer.outcome != KEPT for answer in one.answers) if self.source.relational else one.missing

    def _verdicts(
        self, source: Labelled, one: Carried, was: str, fate: str, *, retold: bool
    ) -> Iterator[dict[str, Any]]:
        """One for each span that was not kept and each relation that lost an end; and for the row if it goes for that."""
        by_id = source.by_id()
        for answer in one.answers:
            if answer.outcome == KEPT:
                continue
            span = by_id[answer.span_id]
            detail = {"label": span.label, "text": span.surface(source.text), "method": answer.method}
            low = answer.outcome == LOW and self.precision is not None
            yield verdict(
                "spans", self.lang, f"{source.id}\t{answer.span_id}", self.name, answer.outcome, answer.reason or answer.outcome,
                value=answer.score, op="<" if low else "", threshold=None, threshold_source=f"precision {self.precision:g}" if low else "",
                detail=json.dumps(detail, ensure_ascii=False),
            )  # fmt: skip
        if fate == "failed" and retold:
            yield verdict("labelled", self.lang, source.id, self.name, "failed", LOST_ROW)
        for relation in one.orphaned:
            row_id = f"{source.id}\t{relation.head}\t{relation.tail}"
            yield verdict("relations", self.lang, row_id, self.name, "orphaned", "span_not_kept", detail=relation.label)
        if fate != was and not one.item.text.strip() and not self.source.relational:
            yield verdict("labelled", self.lang, source.id, self.name, "dropped", EMPTY)
        elif fate != was:
            lacking, relational = self._lacking(one), self.source.relational
            yield verdict(
                "labelled", self.lang, source.id, self.name, "dropped", error_of(source, one.answers) if relational else INCOMPLETE,
                value=float(lacking), op=">", threshold=0.0, threshold_source="user", detail=entities_lost(one.answers) if relational else "",
            )  # fmt: skip


def learned(projector: Projector) -> dict[str, Any]:
    """What a method says that it found while it worked (its `facts`), if it says anything: plain values for the manifest."""
    found = getattr(projector, "facts", None)
    said = found() if callable(found) else found
    return dict(said) if isinstance(said, Mapping) else {}


def _inside_character(text: str, place: int) -> bool:
    """Whether a border at this place parts what a reader sees as one character: a letter and its mark, a joined emoji.

    >>> _inside_character("cafe\u0301 x", 4), _inside_character("cafe\u0301 x", 5)
    (True, False)
    """
    if not 0 < place < len(text) or (text[place].isalnum() and text[place - 1] != _JOINER):
        return False
    near = text[max(0, place - _REACH) : place + _REACH]
    border = min(place, _REACH)
    at = 0
    for one in graphemes(near):
        at += len(one)
        if at >= border:
            return at != border
    return False


def _refused(span: Span, method: str, reason: str) -> Projected:
    return Projected(span.span_id, (), None, method, REJECTED, reason)


def _without_clashes(spans: Sequence[Span], answers: Sequence[Projected]) -> list[Projected]:
    """Of two kept spans that share text in the target, and did not in the source, the less sure one rejected; of equals the later."""
    places = {one.span_id: Span(one.span_id, "", one.pieces) for one in answers if one.outcome == KEPT}
    sources = {span.span_id: span for span in spans}
    order = {span.span_id: place for place, span in enumerate(spans)}
    surest = sorted(
        (one for one in answers if one.outcome == KEPT), key=lambda one: (-(one.score or 0.0), order[one.span_id])
    )
    staying: list[str] = []
    lost: set[str] = set()
    for one in surest:
        mine = places[one.span_id]
        if any(mine.overlaps(places[other]) and not sources[one.span_id].overlaps(sources[other]) for other in staying):
            lost.add(one.span_id)
        else:
            staying.append(one.span_id)
    return [
        Projected(one.span_id, (), one.score, one.method, REJECTED, CLASH) if one.span_id in lost else one
        for one in answers
    ]


def _fates(targets: pa.Table) -> list[str]:
    return targets["fate"].to_pylist() if "fate" in targets.column_names else [KEPT] * targets.num_rows


def _rows(carried: Sequence[Carried], fates: Sequence[str], targets: pa.Table) -> pa.Table:
    """The target rows, then what the translation's stages said of them, then their fate."""
    made = []
    for one in carried:
        how = [answer for answer in one.answers if answer.outcome == KEPT for _ in answer.pieces]
        counted = {"n_source_spans": len(one.answers), "n_missing": one.missing}
        made.append(
            {**as_row(one.item), "confidence": [a.score for a in how], "method": [a.method for a in how], **counted}
        )
    rows = pa.Table.from_pylist(made, schema=ROWS)
    for name in targets.column_names:
        if name not in (*ROWS.names, "fate", "split"):
            rows = rows.append_column(targets.schema.field(name), targets[name])
    return rows.append_column(pa.field("fate", pa.string(), nullable=False), pa.array(fates, pa.string()))


def _spans(pairs: Sequence[Parallel], carried: Sequence[Carried]) -> pa.Table:
    rows = []
    for pair, one in zip(pairs, carried, strict=True):
        for span, answer in zip(pair.source.spans, one.answers, strict=True):
            placed = Span(span.span_id, span.label, answer.pieces)
            rows.append(
                {
                    "id": pair.source.id, "span_id": span.span_id, "label": span.label, "src_start": span.start, "src_end": span.end,
                    "src_text": span.surface(pair.source.text), "outcome": answer.outcome, "reason": answer.reason, "method": answer.method,
                    "confidence": answer.score, "pieces": [{"start": start, "end": end} for start, end in answer.pieces],
                    "tgt_text": placed.surface(pair.target) if answer.pieces else "",
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SPANS)
