"""Everything a release knows of one row, as the story of the stages that it went through; also of a row that was lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild import prompts, release
from dsbuild.builders.made_by import TRANSLATIONS
from dsbuild.errors import ReleaseError, UnknownName
from dsbuild.filters.identify import COLUMNS as IDENTIFIED
from dsbuild.stage import digest
from dsbuild.tables import ID_COLUMNS, SCHEMAS
from dsbuild.translate.ladder import RUNGS
from dsbuild.translate.llm import PROMPT
from dsbuild.translate.translation import RUNG_FAILED, TRANSLATED

_TEXTS = ("title", "text", "text_a", "text_b")
_LOST = ("dropped", "failed")
# Up to these stages a translate build knows the source's language only.
_SOURCE_STAGES = frozenset({"read", "read_config", "read_labelled", "sound", "limit", "mend", "name_rows"})
# Builds whose rows of other languages come from a row of the source.
_CARRIED = (*TRANSLATIONS, "project")
# Tables of verdicts on parts of a labelled row, whose ids begin with the row's.
_INSIDE = ("spans", "relations")
_PROJECTED = frozenset({"method", "confidence", "n_source_spans", "n_missing"})
_MAX_JUDGEMENTS = 20

Row = dict[str, Any]


def explain(folder: Path, row_id: str, lang: str | None = None) -> dict[str, Any]:
    """What happened to a row, in every language and table that has the id; an id that is nowhere is an error.

    Per row: fate, split, `row` as the release has it, `source` (the row that it was translated from), `segments`, `spans` (of a projected row
    each span of its source, where it went, and why not), `stages` in order, each with
    input, output, scores, verdicts and model where the release knows them, `verdicts`, `evidence` of contamination, `judgements`,
    `absorbed`, the duplicates that it stands for, and `parent`, the passage that a generated row was made from.
    """
    manifest = release.read_manifest(folder)
    known = {*manifest["languages"], *(one["lang"] for one in manifest["configs"].values()), *manifest["accounting"]}
    if lang is not None and lang not in known:
        raise UnknownName("language in this release", lang, known)
    said = _verdicts(folder, row_id)
    src = manifest["source"]["lang"]
    rows: list[Row] = []
    for table, column in ID_COLUMNS.items():
        sources = [row for row, _ in _kept(folder, manifest, src, table, column, row_id)]
        sources = sources or _find(_files(folder, manifest, f"dropped/{src}-{table}-"), column, row_id)
        source = sources[0] if sources else None
        for one in sorted(known, key=lambda code: (code != src, code)):
            if lang not in (None, one):
                continue
            kept = _kept(folder, manifest, one, table, column, row_id)
            gone = [(row, None) for row in _find(_files(folder, manifest, f"dropped/{one}-{table}-"), column, row_id)]
            if kept or gone:
                row, split = (kept or gone)[0]
                fate = "kept" if kept else str(row.get("fate", "dropped"))
                story = _Story(folder, manifest, table, one, row, split, fate, source if one != src else None)
                rows.append(story.told(row_id, said))
    if not rows:
        limit = "--limit leaves out "
        cut = ", ".join(note.removeprefix(limit) for note in manifest["notes"] if note.startswith(limit))
        raise ReleaseError(f"{folder}: no row with the id {row_id!r}" + (f" ({limit}{cut})" if cut else ""))
    return {"id": row_id, "release": {"name": manifest["name"], "version": manifest["version"]}, "rows": rows}


def _kept(
    folder: Path, manifest: Mapping[str, Any], lang: str, table: str, column: str, row_id: str
) -> list[tuple[Row, str | None]]:
    config = manifest["configs"].get(f"{lang}-{table}", {"splits": {}})
    return [
        (row, split)
        for split, one in sorted(config["splits"].items())
        for row in _find([folder / path for path in one["files"]], column, row_id)
    ]


def _files(folder: Path, manifest: Mapping[str, Any], prefix: str) -> list[Path]:
    names = (entry["path"] for entry in manifest["files"])
    return [folder / name for name in names if name.startswith(prefix) and name.endswith(".parquet")]


def _find(paths: Sequence[Path], column: str, row_id: str) -> list[Row]:
    return list(_matching(paths, [column], lambda group: pc.equal(group[column], row_id)))


def _matching(paths: Sequence[Path], columns: list[str], chosen: Any) -> Iterator[Row]:
    """The rows that `chosen` picks by some columns; texts are read only of row groups that hold one."""
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    mask = chosen(file.read_row_group(group, columns=columns, use_threads=False))
                    if pc.any(mask).as_py():
                        yield from file.read_row_group(group, use_threads=False).filter(mask).to_pylist()
        except (OSError, pa.ArrowInvalid) as error:
            raise ReleaseError(f"{path}: cannot be read as Parquet; see: dsbuild verify") from error


def _verdicts(folder: Path, row_id: str) -> list[Row]:
    """Verdicts on the row, on judgements that name it, and on rows that gave way to it."""

    def named(group: pa.Table) -> pa.ChunkedArray:
        judged = pc.and_(
            pc.equal(group["table"], "qrels"),
            pc.or_(pc.starts_with(group["id"], f"{row_id}\t"), pc.ends_with(group["id"], f"\t{row_id}")),
        )
        inside = pc.and_(pc.is_in(group["table"], pa.array(_INSIDE)), pc.starts_with(group["id"], f"{row_id}\t"))
        return pc.or_(pc.or_(pc.or_(pc.equal(group["id"], row_id), judged), inside), pc.equal(group["detail"], row_id))

    return list(_matching(release.part_files(folder, "dropped/verdicts-"), ["table", "id", "detail"], named))


@dataclass(frozen=True)
class _Story:
    """One row of one table in one language, with what the release holds of it."""

    folder: Path
    manifest: Mapping[str, Any]
    table: str
    lang: str
    row: Row
    split: str | None
    fate: str
    source: Row | None
    told_columns: set[str] = field(default_factory=set)

    def told(self, row_id: str, said: Sequence[Row]) -> Row:
        mine = [one for one in said if self._of_row(one, row_id) and self._about(one)]
        maps = _find(_files(self.folder, self.manifest, f"segments/{self.lang}-{self.table}-"), "id", row_id)
        segments = [_segment(one, self.source or {}, self.row) for one in maps]
        absorbed = (one for one in said if one["table"] == self.table and one["detail"] == row_id and self._about(one))
        return {
            "lang": self.lang, "table": self.table, "fate": self.fate, "split": self.split, "row": self.row, "source": self.source,
            "segments": segments, "spans": self._spans(row_id), "stages": self._stages(mine, segments),
            "verdicts": [one for one in mine if not self._translated or one["lang"] == self.lang],
            "evidence": _find(_files(self.folder, self.manifest, f"evidence/{self.table}-"), "id", row_id),
            "judgements": self._judgements(row_id, said),
            "absorbed": [one["id"] for one in absorbed if one["rule"].endswith("_duplicate")], "parent": self._parent(),
        }  # fmt: skip

    def _parent(self) -> Row | None:
        """The passage that a generated row was made from, in whatever language the release has it."""
        parent = self.row.get("parent_id")
        for config, one in sorted(self.manifest["configs"].items() if parent else ()):
            place = (self.folder, self.manifest, one["lang"], one["table"], "doc_id", str(parent))
            if one["table"] in ("corpus", "documents") and (found := _kept(*place)):
                return {"config": config, **found[0][0]}
        return None

    def _of_row(self, one: Mapping[str, Any], row_id: str) -> bool:
        if self.table == "labelled" and one["table"] in _INSIDE:
            return str(one["id"]).startswith(f"{row_id}\t")
        return bool(one["table"] == self.table and one["id"] == row_id)

    def _spans(self, row_id: str) -> list[Row]:
        """What became of each span of the source, where this release projected them."""
        return (
            _find(_files(self.folder, self.manifest, f"spans/{self.lang}-"), "id", row_id)
            # A source's own spans go nowhere; `en-` would find those that were translated back (`en-t-de-`).
            if self.table == "labelled" and self.lang != self._src
            else []
        )

    @property
    def _src(self) -> str:
        return str(self.manifest["source"]["lang"])

    @property
    def _translated(self) -> bool:
        """Whether this build translated the row; in a split of a translation it came so."""
        return self.manifest["recipe"]["build"] in _CARRIED and self.lang != self._src

    def _about(self, one: Mapping[str, Any]) -> bool:
        """Whether a verdict is of this row: of its language, or of the source row that it was translated from."""
        inherited = self._translated and one["lang"] == self._src
        return one["lang"] == self.lang or inherited or self.table == "pairs"

    def _stages(self, verdicts: Sequence[Row], segments: Sequence[Row]) -> list[Row]:
        # A release without the source's tables still knows what `mend` changed.
        origin = (self.source or {}) if self._translated else self.row
        texts = {name: origin[name] for name in _TEXTS if name in origin}
        mended = [json.loads(one["detail"]) for one in verdicts if one["rule"] == "mojibake"]
        before = texts | {one["field"]: one["before"] for one in mended}
        stages: list[Row] = []
        waiting = list(verdicts)
        lost = False
        for stage in self.manifest["stages"]:
            if not self._passes(stage):
                continue
            name = stage["stage"]
            entry: Row = {key: stage[key] for key in ("node", "stage", "version", "keys")}
            entry |= self._texts(name, before, texts, segments)
            if scores := self._scores(stage):
                entry["scores"] = scores
            if name == "translate":
                entry["model"] = self._model()
            if own := [one for one in waiting if one["stage"] == name]:
                entry["verdicts"] = own
                waiting = [one for one in waiting if one not in own]
            # What a lost row passed through without a trace is no part of its story.
            if not lost or len(entry) > 4:
                stages.append(entry)
            lost = lost or any(one["outcome"] in _LOST for one in own)
        if waiting:
            stages.append({"node": "", "stage": waiting[0]["stage"], "version": None, "keys": "", "verdicts": waiting})
        return stages

    def _passes(self, stage: Mapping[str, Any]) -> bool:
        base, *about = stage["node"].split(".")
        if base.startswith("against") or any(part.startswith("against") for part in about):
            return False
        translating = self.manifest["recipe"]["build"] in _CARRIED
        if translating and self.lang == self._src and stage["stage"] not in _SOURCE_STAGES:
            return False
        configs = set(self.manifest["configs"])
        langs = set(self.manifest["languages"])
        for part in about:
            wrong_table = part in SCHEMAS and part != self.table
            wrong_lang = part in langs and part != self.lang
            if wrong_table or wrong_lang or (part in configs and part != f"{self.lang}-{self.table}"):
                return False
        return True

    def _texts(
        self, name: str, before: Mapping[str, Any], texts: Mapping[str, Any], segments: Sequence[Row]
    ) -> dict[str, Any]:
        """What a stage got and gave, as far as the release keeps it."""
        cut = [{key: one[key] for key in ("field", "segment", "source")} for one in segments]
        if name in ("read_target", "project"):
            return {"output": {"text": self.row["text"]} if name == "read_target" else {"spans": self.row["spans"]}}
        if name in ("read", "read_config", "read_labelled") and before:
            return {"output": dict(before)}
        if name == "mend" and before != texts:
            changed = [key for key in before if before[key] != texts.get(key)]
            return {
                "input": {key: before[key] for key in changed},
                "output": {key: texts[key] for key in changed if key in texts},
            }
        if name == "segment" and segments:
            return {"input": dict(texts), "output": cut}
        if name == "translate" and segments:
            return {
                "input": cut,
                "output": [{key: one[key] for key in ("field", "segment", "translation")} for one in segments],
            }
        if name == "assemble":
            return {"output": {key: self.row[key] for key in _TEXTS if key in self.row}}
        if name == "identify":
            return {"output": {key: self.row[key] for key in ("lang", "lang_a", "lang_b") if key in self.row}}
        if name == "apply_splits" and self.split is not None:
            return {"output": {"split": self.split}}
        return {}

    def _scores(self, stage: Mapping[str, Any]) -> Row:
        """The columns that a stage made; each is told once, by the first that may have made it."""
        mine = {name for name in self.row if name not in self.told_columns and self._made(stage["stage"], name)}
        self.told_columns.update(mine)
        return {name: value for name, value in self.row.items() if name in mine}

    def _made(self, stage: str, column: str) -> bool:
        build = self.manifest["recipe"]["build"]
        if stage == "project" or column in _PROJECTED:
            return stage == "project" and column in _PROJECTED
        if column == "fate" or (column == "extra" and self.table == "labelled"):
            return False
        if column == "flag":
            return stage in ("decide", "settle_contamination")
        if build in _CARRIED:
            engine = {"failure", *TRANSLATED.names} - {"uid", "text"}
            if stage in ("segment", "translate"):
                return column in (engine if stage == "translate" else {"n_segments"})
            return stage == "check" and column not in {*engine, "n_segments", *SCHEMAS[self.table].names}
        if build == "filter":
            identified = any(column.endswith(name.removeprefix("language")) for name in IDENTIFIED)
            if stage == "identify":
                return identified and column.startswith("language")
            scored = any(column.startswith(f"{name}_") for name in self.manifest["filters"].get(self.table, ()))
            return (stage == "settle" and column.startswith("duplicate_")) or (stage == "score" and scored)
        return (stage == "assign_splits" and column == "component") or (
            stage in ("contamination", "settle_contamination") and column.startswith("contamination_")
        )

    def _model(self) -> Row:
        """The engine that the row's furthest segment came from, and a digest of everything that decides its output."""
        engines = list(self.manifest["engines"].items())
        rung = int(self.row.get("rung") or 0)
        name, facts = engines[min(rung // len(RUNGS), len(engines) - 1)] if rung < RUNG_FAILED else engines[0]
        fingerprint = facts["fingerprint"]
        reached = "failed" if rung >= RUNG_FAILED else RUNGS[rung % len(RUNGS)]
        return {
            "engine": name, "fingerprint": fingerprint, "digest": digest(json.dumps(fingerprint, sort_keys=True)), "license": facts["license"],
            "rung": reached, **_prompt(fingerprint),
        }  # fmt: skip

    def _judgements(self, row_id: str, said: Sequence[Row]) -> Row:
        column = {"corpus": "doc_id", "queries": "query_id"}.get(self.table)
        if column is None:
            return {}
        found = _find(_files(self.folder, self.manifest, f"{self.lang}-qrels/"), column, row_id)
        lost = [
            one for one in said if one["table"] == "qrels" and one["lang"] == self.lang and self._judges(one, row_id)
        ]
        return {
            "kept": len(found), "lost": len(lost), "rows": found[:_MAX_JUDGEMENTS],
            "lost_rows": [{"query_id": one["id"].split("\t")[0], "doc_id": one["id"].split("\t")[-1], "outcome": one["outcome"], "rule": one["rule"]}
                          for one in lost[:_MAX_JUDGEMENTS]],
        }  # fmt: skip

    def _judges(self, one: Mapping[str, Any], row_id: str) -> bool:
        return str(one["id"]).split("\t")[0 if self.table == "queries" else -1] == row_id


def _prompt(fingerprint: Mapping[str, Any]) -> Row:
    """The prompt, where the engine has one and this version has that very text; else its digest is in the fingerprint."""
    if "prompt" not in fingerprint:
        return {}
    prompt = prompts.load("dsbuild.translate", PROMPT)
    return {"prompt": prompt.text if prompt.digest == fingerprint["prompt"] else None}


def _segment(entry: Mapping[str, Any], source: Mapping[str, Any], row: Mapping[str, Any]) -> Row:
    return {
        "field": entry["field"], "segment": entry["segment"],
        "source": str(source.get(entry["field"], ""))[entry["src_start"] : entry["src_end"]],
        "translation": str(row.get(entry["field"], ""))[entry["tgt_start"] : entry["tgt_end"]],
    }  # fmt: skip
