"""datatrove's filters as stages of a build: any `BaseFilter` decides on rows, every row is counted, every drop has its reason.

The other way round, dsbuild's filters inside a datatrove pipeline, is `dsbuild.filters.datatrove_step`. Needs the extra `scale`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.errors import EngineError, MissingExtra, RecipeError
from dsbuild.filters.decide_texts import DROPPED, KEPT
from dsbuild.registry import load
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict

FAILED = "failed"
_ROOT = "datatrove"


def datatrove_version() -> str:
    """The installed version of datatrove, which is part of what its filters decide; "" without it."""
    try:
        return version(_ROOT)
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class DatatroveFilter:
    """Give each row its fate by a filter of datatrove: kept, dropped for the reason that the filter gives, or failed.

    filter: "module:Class", a `BaseFilter`; options: its constructor's keyword arguments, JSON values only, since they describe the
    work; table, id_column, text_column, lang_column: of the rows; peer: datatrove's version.
    The filter sees each row as a `Document`: text, id, and every other column that is not null as metadata. It may change the text
    (C4's does): the row then carries the new text and a verdict "repaired". What it writes into the metadata is not kept.
    A row at which it raises has failed, with the error as detail. The run ends if it raises at every row of two or more, or because a
    package is missing that it needs (spaCy, for instance, where it counts words).
    """

    filter: str
    options: Mapping[str, Any] = field(default_factory=dict)
    table: str = "documents"
    id_column: str = "doc_id"
    text_column: str = "text"
    lang_column: str = "lang"
    peer: str = field(default_factory=datatrove_version)

    name: ClassVar[str] = "datatrove"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if "exclusion_writer" in self.options:
            raise RecipeError(f"{self.filter}: no exclusion_writer here; what is dropped is in the verdicts")
        try:
            json.dumps(dict(self.options))
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{self.filter}: its options must be JSON values ({error})") from None

    def open(self) -> Any:
        """The filter itself; `MissingExtra`, `RecipeError` or `EngineError` in one line if it cannot be made."""
        try:
            from datatrove.pipeline.filters.base_filter import BaseFilter
        except ImportError:
            raise MissingExtra(f"filter {self.filter}", _ROOT, "scale") from None
        try:
            found = load(self.filter)
        except (ImportError, AttributeError, ValueError) as error:
            raise RecipeError(f"no datatrove filter {self.filter!r} ({error}); write module:Class") from None
        if not (inspect.isclass(found) and issubclass(found, BaseFilter)):
            raise RecipeError(f"{self.filter} is not a filter of datatrove (a subclass of BaseFilter)")
        try:
            return found(**self.options)
        except TypeError as error:
            known = ", ".join(name for name in inspect.signature(found).parameters if name != "exclusion_writer")
            raise RecipeError(f"{self.filter}: {error}; its options: {known}") from None
        except Exception as error:
            raise EngineError(f"{self.filter} cannot be made: {_one_line(error)}") from error

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the rows in order, with `fate` and `flag`. What was dropped before is not shown to the filter; a protected row is flagged."""
        rows: pa.Table = inputs["rows"]
        n_rows = rows.num_rows
        ids, texts = rows[self.id_column].to_pylist(), rows[self.text_column].to_pylist()
        langs = _column(rows, self.lang_column, "")
        fates = _column(rows, "fate", KEPT)
        flags = _column(rows, "flag", "")
        safe = _column(rows, "protected", False)
        shown = [index for index, fate in enumerate(fates) if fate == KEPT]
        documents = self._documents(rows, shown, ids, texts)
        verdicts: list[dict[str, Any]] = []

        def say(index: int, outcome: str, rule: str, detail: str = "") -> None:
            verdicts.append(verdict(self.table, langs[index], ids[index], self.name, outcome, rule, detail=detail))

        errors = 0
        for index, document, answer in zip(shown, documents, self._answers(documents), strict=True):
            if isinstance(answer, Exception):
                errors += 1
                if errors == len(shown) > 1:
                    raise EngineError(
                        f"{self.filter} raises at every row, such as {self.table} {ids[shown[0]]}: {_one_line(answer)}"
                    ) from answer
                outcome = "flagged" if safe[index] else "failed"
                if safe[index]:
                    flags[index] = flags[index] or _rule(self.filter)
                else:
                    fates[index] = FAILED
                say(index, outcome, _rule(self.filter), _one_line(answer))
                continue
            keep, reason = answer if isinstance(answer, tuple) else (answer, None)
            if keep and document.text != texts[index]:
                say(index, "repaired", _rule(self.filter), f"{len(texts[index])} -> {len(document.text)} characters")
                texts[index] = document.text
            elif not keep and safe[index]:
                flags[index] = flags[index] or reason or _rule(self.filter)
                say(index, "flagged", reason or _rule(self.filter), self.filter)
            elif not keep:
                fates[index] = DROPPED
                say(index, "dropped", reason or _rule(self.filter), self.filter)
        out = _with(rows, self.text_column, pa.array(texts, rows.schema.field(self.text_column).type))
        out = _with(_with(out, "fate", pa.array(fates, pa.string())), "flag", pa.array(flags, pa.string()))
        counts = Counts(n_rows, fates.count(KEPT), fates.count(DROPPED), fates.count(FAILED))
        return Result({"out": [Shard(out)]}, verdicts, counts)

    def _documents(self, rows: pa.Table, shown: Sequence[int], ids: Sequence[str], texts: Sequence[str]) -> list[Any]:
        """The rows as datatrove's documents."""
        try:
            from datatrove.data import Document
        except ImportError:
            raise MissingExtra(f"filter {self.filter}", _ROOT, "scale") from None
        others = [name for name in rows.column_names if name not in (self.id_column, self.text_column)]
        metadata = rows.select(others).take(pa.array(shown, pa.int64())).to_pylist() if others else [{} for _ in shown]
        return [
            Document(texts[index], ids[index], metadata={key: value for key, value in row.items() if value is not None})
            for index, row in zip(shown, metadata, strict=True)
        ]

    def _answers(self, documents: Sequence[Any]) -> list[Any]:
        """What the filter says of each document, or the error that it raises there."""
        made = self.open()
        size = max(1, int(getattr(made, "batch_size", 1)))
        answers: list[Any] = []
        for start in range(0, len(documents), size):
            batch = list(documents[start : start + size])
            before = [(one.text, dict(one.metadata)) for one in batch] if size > 1 else []
            try:
                said = list(made.filter_batch(batch))
                if len(said) != len(batch):
                    raise EngineError(f"{self.filter}: {len(said)} answers to {len(batch)} documents")
                answers += said
            except EngineError:
                raise
            except ImportError as error:
                raise EngineError(f"{self.filter}: {_one_line(error)}") from error
            except Exception as error:
                if size == 1:
                    answers.append(error)
                    continue
                # Somewhere in the batch: each alone, from what it was, tells where.
                for one, (text, metadata) in zip(batch, before, strict=True):
                    one.text, one.metadata = text, metadata
                    answers.append(_tried(made, one))
        return answers


def _column(rows: pa.Table, name: str, otherwise: Any) -> list[Any]:
    """A column's values, or one value for all rows where there is no such column."""
    return list(rows[name].to_pylist()) if name in rows.column_names else [otherwise] * rows.num_rows


def _tried(made: Any, document: Any) -> Any:
    try:
        return made.filter_batch([document])[0]
    except Exception as error:
        return error


def _rule(target: str) -> str:
    """The name of a filter where it gives no reason: its class."""
    return target.partition(":")[2]


def _one_line(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:300] if said else type(error).__name__


def _with(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The rows with a column put in its place, or after the others."""
    if name in rows.column_names:
        at = rows.column_names.index(name)
        return rows.set_column(at, rows.schema.field(at), values)
    return rows.append_column(pa.field(name, values.type, nullable=False), values)
