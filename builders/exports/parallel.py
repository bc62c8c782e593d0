"""Pairs for multilingual distillation: a text, its translation, and the vector that a teacher gives the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dsbuild import release
from dsbuild.builders.exports.exported import Task, choice
from dsbuild.builders.exports.release_sql import ordered_rows, quoted
from dsbuild.builders.exports.sentence_transformers import FLOATS, STRING
from dsbuild.builders.exports.teacher import Teacher
from dsbuild.builders.parts import public
from dsbuild.errors import RecipeError, ReleaseError

_BLOCK = 2_048
_FIELDS = {"corpus": ("title", "text"), "queries": ("text",)}
_IDS = {"corpus": "doc_id", "queries": "query_id"}


@dataclass(frozen=True)
class Parallel:
    """english, non_english and, with a model, label: the teacher's vector of the first (MSELoss; Reimers and Gurevych 2020).

    style segments: the sentences of a translated release, from its segment maps; style rows: whole texts, titles and queries. model: a
    sentence-transformers model, folder or hub name. Equal pairs are written once; rows with a flag (`bad_translation`) and empty texts are left out.
    """

    style: str = "segments"
    model: str | None = None

    about: ClassVar[str] = "sentence-transformers (MSELoss, multilingual distillation)"
    needs: ClassVar[str] = "texts"

    def write(self, task: Task) -> None:
        """See `Exporter`."""
        choice("st-parallel", self.style, ("segments", "rows"))
        views = task.views
        source = views.release.manifest["source"]["lang"]
        if views.selection.query_langs or views.selection.pooled or views.selection.mix or views.selection.splits:
            raise RecipeError(
                "st-parallel: takes --langs only; the other side is the source language, and splits do not part it"
            )
        targets = [lang for lang in (views.selection.langs or views.release.languages) if lang != source]
        if source not in views.release.languages or not targets:
            raise ReleaseError(
                f"{views.release.folder}: needs the source language ({source}) and a translation; translate without --no-source"
            )
        teacher = Teacher(self.model) if self.model else None
        first = "english" if source == "en" else "source"
        columns: list[Any] = [(first, STRING), (f"non_{first}" if source == "en" else "translation", STRING)]
        schema = pa.schema([*columns, ("label", FLOATS)] if teacher else columns)
        for lang in targets:
            left = {"flagged": 0, "empty": 0, "repeated": 0}
            rows: Iterator[tuple[Any, ...]] = self._pairs(task, source, lang, left)
            count = task.folder.table(
                f"{source}-{lang}", "train", schema, _labelled(rows, teacher) if teacher else rows
            )
            said = ", ".join(f"{number:,} {reason}" for reason, number in left.items() if number)
            task.note(f"{source}-{lang}: {count:,} pairs" + (f"; left out: {said}" if said else ""))
            if not count:
                raise ReleaseError(
                    f"{views.release.folder}: {source}-{lang} has no pair of texts ({said or 'no row in both languages'})"
                )
        if teacher:
            task.note(f"label: {teacher.size} numbers by {public(self.model)}, weights {teacher.weights}")

    def _pairs(self, task: Task, source: str, lang: str, left: dict[str, int]) -> Iterator[tuple[str, str]]:
        """Every pair once, in the order of the source; `left` counts the others."""
        views, parts = task.views, []
        for number, (table, fields) in enumerate(_FIELDS.items()):
            have = [table in views.release.tables(one) for one in (source, lang)]
            if not all(have):
                continue
            key = _IDS[table]
            flagged = "flag" in views.release.table(lang, table).columns
            names = ", ".join((f"{key} AS id", *fields))
            ours = f"({ordered_rows(views.release, source, table, None, names)}) AS ours"
            theirs = (
                f"({ordered_rows(views.release, lang, table, None, names + (', flag' if flagged else ''))}) AS theirs"
            )
            for nth, name in enumerate(fields):
                common = f"{'theirs.flag' if flagged else chr(39) * 2} AS flag, {number} AS part, ours.place AS place, {nth} AS nth"
                if self.style == "rows":
                    parts.append(
                        f"SELECT {common}, 0 AS segment, ours.{name} AS a, theirs.{name} AS b FROM {ours} JOIN {theirs} USING (id)"
                    )
                    continue
                maps = release.part_files(views.release.folder, f"segments/{lang}-{table}-")
                if not maps:
                    raise ReleaseError(
                        f"{views.release.folder}: {lang} has no segment map; --style rows pairs whole texts"
                    )
                cut = "substring({side}.{name}, {which}_start + 1, {which}_end - {which}_start)"
                paths = ", ".join(quoted(str(path)) for path in maps)
                parts.append(
                    f"SELECT {common}, segment, {cut.format(side='ours', name=name, which='src')} AS a, "
                    f"{cut.format(side='theirs', name=name, which='tgt')} AS b FROM read_parquet([{paths}]) AS map "
                    f"JOIN {ours} USING (id) JOIN {theirs} USING (id) WHERE map.field = {quoted(name)}"
                )
        if not parts:
            return
        query = (
            "SELECT trim(a) AS a, trim(b) AS b, coalesce(flag, '') <> '' AS flagged, row_number() OVER (PARTITION BY trim(a), trim(b), "
            "coalesce(flag, '') <> '' ORDER BY part, place, nth, segment) AS turn "
            f"FROM ({' UNION ALL '.join(parts)}) ORDER BY part, place, nth, segment"
        )
        for a, b, flagged, turn in views.stream(query):
            reason = "flagged" if flagged else "empty" if not a or not b else "repeated" if turn > 1 else None
            if reason:
                left[reason] += 1
            else:
                yield a, b


def _labelled(pairs: Iterator[tuple[str, str]], teacher: Teacher) -> Iterator[tuple[str, str, np.ndarray]]:
    while block := list(islice(pairs, _BLOCK)):
        vectors = teacher.vectors([text for text, _ in block])
        yield from ((a, b, vector) for (a, b), vector in zip(block, vectors, strict=True))
