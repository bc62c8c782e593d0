"""`evaluate projection`: gold files against a projected release or against files, in as many languages as there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from dsbuild.builders.labelled.formats import NUMBERED, UNKNOWN_LANG, open_labelled
from dsbuild.builders.projection import projection_scores
from dsbuild.builders.projection.back_translation import is_back
from dsbuild.errors import SourceError
from dsbuild.files import write_atomically
from dsbuild.project.projection_evaluation import Answer, evaluate
from dsbuild.spans import Labelled

Match = Literal["auto", "id", "place"]
# Kinds whose spans have ids of their own, the same in every language: an answer has the id of its question.
OWN_IDS = ("squad", "xquad")
_SHOWN = 60


def judge_projection(
    gold: Sequence[str], pred: str, *, match: Match = "auto", options: Mapping[str, str] | None = None, plot: Path | None = None
) -> dict[str, Any]:  # fmt: skip
    """The scores of a projection; see `project.projection_evaluation.evaluate`, with `notes` on what did not fit together.

    gold: KIND:FILE, with LANG= before it where there are several languages. pred: the folder of a release, or KIND:FILE of the same
    texts. options: of the kinds, as `--src` has them. match: whether spans are told apart by id or by place. plot: where to write the
    coverage-precision curve as SVG. Scores of a release are also written beside it, for its report. `SourceError` where texts of one id
    differ or nothing belongs together.
    """
    folder = Path(pred).expanduser()
    if ":" not in pred and not folder.is_dir():
        raise SourceError(f"{pred}: no such folder; --pred is a release of dsbuild project, or KIND:FILE")
    notes: list[str] = []
    rows: list[tuple[Labelled, list[Answer]]] = []
    kinds = set()
    for spec in gold:
        lang, equals, file = spec.partition("=")
        if not equals or ":" in lang:
            lang, file = "", spec
        kinds.add(file.partition(":")[0])
        wanted = list(open_labelled(file, lang=lang or None, options=options).read())
        if not wanted:
            raise SourceError(f"{file}: holds no text")
        rows += _joined(wanted, *_predicted(pred, lang, wanted[0].lang, options), file, pred, notes)
    by_id = match == "id" or (match == "auto" and kinds <= set(OWN_IDS))
    found = evaluate(rows, by_id)
    found["matched_by"] = "id" if by_id else "place"
    found["notes"] = notes
    if folder.is_dir():
        saved = projection_scores.save(folder, gold, found)
        notes.append(f"{saved.name} beside the release has these scores; dsbuild report shows them")
    if plot is not None:
        from dsbuild.cards.curves import coverage_precision

        drawn = coverage_precision(found["curve"])
        write_atomically(plot, lambda temporary: _put(temporary, drawn))
    return found


def _predicted(
    pred: str, lang: str, stated: str, options: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, list[Answer]], str]:
    """Texts and answers by id, in the order of the prediction, and its language."""
    folder = Path(pred).expanduser()
    if folder.is_dir():
        return _of_release(folder, lang or ("" if stated == UNKNOWN_LANG else stated))
    texts: dict[str, str] = {}
    answers: dict[str, list[Answer]] = {}
    said = ""
    for item in open_labelled(pred, lang=lang or None, options=options).read():
        texts[item.id] = item.text
        sure = _confidences(item)
        answers[item.id] = [
            Answer(span.span_id, span.label, span.pieces, sure.get(span.span_id)) for span in item.spans
        ]
        said = said or item.lang
    return texts, answers, said


def _confidences(item: Labelled) -> dict[str, float]:
    """What a labelled table says of its spans' confidence; the column has a value for each piece."""
    said = item.extra.get("confidence")
    names = [span.span_id for span in item.spans for _ in span.pieces]
    if not isinstance(said, list) or len(said) != len(names):
        return {}
    return {name: value for name, value in zip(names, said, strict=True) if isinstance(value, float)}


def _of_release(folder: Path, lang: str) -> tuple[dict[str, str], dict[str, list[Answer]], str]:
    there = sorted({path.name.split("-0")[0] for path in (folder / "spans").glob("*.parquet")})
    if not there:
        raise SourceError(
            f"{folder}: says of no span what became of it (no spans/*.parquet); is it a release of dsbuild project?"
        )
    if not lang:
        # Who names no language means the translations, and not what was made of them.
        there = [one for one in there if not is_back(one)] or there
    if not lang and len(there) > 1:
        raise SourceError(f"{folder}: of which of {', '.join(there)} is the gold? Say {there[0]}=KIND:FILE")
    lang = lang or there[0]
    if lang not in there:
        raise SourceError(f"{folder}: has no spans in {lang}, only in {', '.join(there)}")
    texts: dict[str, str] = {}
    for path in [
        *sorted((folder / f"{lang}-labelled").glob("*.parquet")),
        *sorted((folder / "dropped").glob(f"{lang}-labelled-*.parquet")),
    ]:
        for batch in pq.ParquetFile(path).iter_batches(columns=["id", "text"]):
            texts |= dict(zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True))
    answers: dict[str, list[Answer]] = {name: [] for name in texts}
    for path in sorted((folder / "spans").glob(f"{lang}-0*.parquet")):
        for row in _rows(path):
            pieces = tuple((one["start"], one["end"]) for one in row["pieces"])
            answer = Answer(row["span_id"], row["label"], pieces, row["confidence"], row["outcome"], row["reason"])
            answers.setdefault(row["id"], []).append(answer)
    return texts, answers, lang


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def _joined(
    wanted: Sequence[Labelled], texts: Mapping[str, str], answers: Mapping[str, list[Answer]], lang: str, gold: str, pred: str, notes: list[str]
) -> Iterator[tuple[Labelled, list[Answer]]]:  # fmt: skip
    """Gold texts with their answers: by id, or by order where one side only numbers its texts."""
    ids = [item.id for item in wanted]
    if not set(ids) & answers.keys():
        if len(ids) != len(texts) or not wanted[0].extra.get(NUMBERED):
            raise SourceError(
                f"{gold}: no id is among those of {pred} ({ids[0][:_SHOWN]!r} is not); gold and prediction must be of the same texts"
            )
        ids = list(texts)
        notes.append(f"{gold}: has no ids; its texts were taken in the order of {pred}")
    elif any(texts.get(item.id, item.text) != item.text for item in wanted) and [item.text for item in wanted] == list(
        texts.values()
    ):
        # Numbers of a file without ids meet the ids of another: the texts say that both are in one order.
        ids = list(texts)
        notes.append(
            f"{gold}: its ids are not those of {pred}; the same texts stand in the same order, and were taken so"
        )
    lacking = 0
    for item, name in zip(wanted, ids, strict=True):
        if name in texts and texts[name] != item.text:
            raise SourceError(
                f"{gold}: id {item.id[:_SHOWN]!r}: the text differs from that of {pred}; scores need the same target text"
            )
        lacking += name not in answers
        spoken = lang if lang not in ("", UNKNOWN_LANG) else item.lang
        yield Labelled(item.id, item.text, spoken, item.spans, item.relations), answers.get(name, [])
    if lacking:
        notes.append(f"{gold}: {lacking:,} of its {len(wanted):,} texts are not in {pred}; their spans count as missed")
    if more := len(answers.keys() - set(ids)):
        notes.append(f"{pred}: {more:,} texts are not in {gold} and were not counted")


def _put(path: Path, drawn: str) -> None:
    path.write_text(drawn, "utf-8")
