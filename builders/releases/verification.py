"""Verify a release from its files alone: digests, schemas, ids, foreign keys, accounting, texts in several splits, card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from dsbuild import release
from dsbuild.builders.projection.span_accounting import check_labelled, check_spans
from dsbuild.builders.pruning.certificate import check_certificates
from dsbuild.builders.releases.contents import check_content, contents
from dsbuild.builders.releases.facts import check_facts
from dsbuild.builders.releases.shared_texts import accepted_texts, check_shared
from dsbuild.builders.sources.validate import database
from dsbuild.tables import ID_COLUMNS, SCHEMAS

_JUDGED = {"corpus": "doc_id", "queries": "query_id"}
# Columns that a table may lack: sources of pairs have a label or a score, or neither.
_OPTIONAL = frozenset({"split", "label", "score"})
_MAX_SHOWN = 20


def verify(folder: Path, *, leakage: bool = True) -> dict[str, Any]:
    """Check everything that the files of a release can show; returns what was checked and the problems found.

    leakage: whether a text in several splits of a table is a problem where the release does not say that it was accepted.
    """
    manifest = release.read_manifest(folder)
    problems = release.damaged(folder, manifest, deep=True)
    checked = {"files": len(manifest["files"])}
    if not problems:
        problems += list(_schemas(folder, manifest))
    if not problems:
        problems += list(_keys(folder, manifest))
        problems += list(_accounting(folder, manifest))
        problems += list(check_certificates(folder, manifest))
        problems += [*check_labelled(folder, manifest), *check_spans(folder, manifest)]
        problems += list(check_shared(folder, manifest)) if leakage else []
        problems += (card := list(_card(folder, manifest)))
        # Only a release states what its rows hold; they are read once for both checks.
        held = contents(folder, manifest) if "release" in manifest else None
        problems += check_content(folder, manifest, held)
        problems += check_facts(folder, readme=not card, found=held)
        checked["configurations"] = len(manifest["configs"])
        checked["rows"] = sum(
            one["rows"] for config in manifest["configs"].values() for one in config["splits"].values()
        )
        if accepted := accepted_texts(manifest):
            checked["texts in several splits, accepted"] = sum(accepted.values())
    more = len(problems) - _MAX_SHOWN
    return {"checked": checked, "problems": problems[:_MAX_SHOWN] + ([f"and {more} more"] if more > 0 else [])}


def _files(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    return [folder / path for split in config["splits"].values() for path in split["files"]]


def _schemas(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    for name, config in manifest["configs"].items():
        for split, one in config["splits"].items():
            rows = 0
            for path in one["files"]:
                file = pq.ParquetFile(folder / path)
                rows += file.metadata.num_rows
                found = file.schema_arrow
                for column in SCHEMAS[config["table"]]:
                    if column.name not in found.names:
                        wrong = column.name not in _OPTIONAL
                    else:
                        wrong = column.name != "split" and found.field(column.name).type != column.type
                    if wrong:
                        yield f"{path}: column {column.name} is missing or not {column.type}"
            if rows != one["rows"]:
                yield f"{name}/{split}: {rows} rows in the files, {one['rows']} in the manifest"


def _keys(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Unique ids, and judgements whose query and passage are there (a table that was not translated: those of the source)."""
    configs, src = manifest["configs"], manifest["source"]["lang"]
    with TemporaryDirectory() as spill, database(Path(spill)) as base:

        def paths(name: str) -> list[str]:
            return [str(path) for path in _files(folder, configs[name])]

        for name, config in configs.items():
            if column := ID_COLUMNS.get(config["table"]):
                for row_id, number in base.execute(
                    f"SELECT {column}, count(*) FROM read_parquet($1) GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 3",
                    [paths(name)],
                ).fetchall():
                    yield f"{name}: id {row_id!r} stands in {number} rows"
                continue
            for table, key in _JUDGED.items():
                target = f"{config['lang']}-{table}" if f"{config['lang']}-{table}" in configs else f"{src}-{table}"
                if target not in configs:
                    continue
                query = f"SELECT DISTINCT {key} FROM read_parquet($1) AS named ANTI JOIN read_parquet($2) AS held USING ({key}) ORDER BY 1 LIMIT 3"
                for (row_id,) in base.execute(query, [paths(name), paths(target)]).fetchall():
                    yield f"{name}: {key} {row_id!r} is not in {target}"


def _accounting(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """kept + dropped + failed = in, and each number is what the files hold."""
    for lang, tables in manifest["accounting"].items():
        for table in (name for name in tables if name in ID_COLUMNS):
            row = tables[table]
            if row["in"] != row["kept"] + row["dropped"] + row["failed"]:
                yield f"{lang}-{table}: {row['in']} in, but {row['kept']} kept + {row['dropped']} dropped + {row['failed']} failed"
            if sum(row["reasons"].values()) != row["dropped"] + row["failed"]:
                yield f"{lang}-{table}: reasons add up to {sum(row['reasons'].values())}, not to the rows lost"
            kept = sum(shard.num_rows for shard in release.read_part(folder, f"{lang}-{table}/", [ID_COLUMNS[table]]))
            gone = sum(
                shard.num_rows for shard in release.read_part(folder, f"dropped/{lang}-{table}-", [ID_COLUMNS[table]])
            )
            lost = row["dropped"] + row["failed"]
            if (kept, gone) != (row["kept"], lost):
                yield f"{lang}-{table}: {kept} rows kept and {gone} lost in the files, {row['kept']} and {lost} in the manifest"
        if "qrels" not in tables:
            continue
        kept = sum(shard.num_rows for shard in release.read_part(folder, f"{lang}-qrels/", ["query_id"]))
        if kept != tables["qrels"]["kept"]:
            yield f"{lang}-qrels: {kept} rows in the files, {tables['qrels']['kept']} in the manifest"


def _card(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """The numbers of the card, as a table of the README, against the manifest."""
    text = (folder / "README.md").read_text("utf-8")
    for lang, tables in manifest["accounting"].items():
        for table in (name for name in tables if name in ID_COLUMNS):
            row = tables[table]
            line = (
                f"| {lang} | {table} | "
                + " | ".join(f"{row[name]:,}" for name in ("in", "kept", "repaired", "dropped", "failed"))
                + " |"
            )
            if line not in text:
                yield f"README.md: the numbers of {lang}-{table} are not those of the manifest"
