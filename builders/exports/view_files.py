"""The folder of an export: lines, Parquet and a list of all files, put in its place in one step when everything is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from dsbuild import files, parquet
from dsbuild.errors import StoreError

FORMAT = 1
# In a folder of their own: FlagEmbedding and `datasets` take every JSON file that lies beside the rows for rows.
MANIFEST = "export/manifest.json"
LEFT = "export/left.jsonl"
BLOCK_ROWS = 4_096


class Lines:
    """A text file in UTF-8 whose lines end with a line feed. rows: how many were written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rows = 0

    def write(self, line: str) -> None:
        """Write one line, without its end."""
        self._stream.write(line + "\n")
        self.rows += 1

    def json(self, row: Any) -> None:
        """Write a line of JSON, in the order of its keys."""
        self.write(json.dumps(row, ensure_ascii=False))


class ViewFolder:
    """Where the files of an export are written; `finish` moves them to their place, until then nothing is there."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.partial = out.with_name(f".{out.name}.partial")
        self._rows: dict[str, int] = {}
        self.tables: dict[str, dict[str, str]] = {}
        shutil.rmtree(self.partial, ignore_errors=True)

    @contextmanager
    def lines(self, name: str) -> Iterator[Lines]:
        """A text file; `name` is relative to the folder."""
        path = self._new(name)
        try:
            with path.open("w", encoding="utf-8", newline="\n", buffering=1 << 20) as stream:
                found = Lines(stream)
                yield found
        except OSError as error:
            raise files.disk_error(path, error) from error
        self._rows[name] = found.rows

    def table(self, config: str, split: str, schema: pa.Schema, rows: Iterable[Sequence[Any]], base: str = "") -> int:
        """Parquet of rows (values in the schema's order) that `datasets` opens by configuration and split; returns how many there are.

        The files are `<base><config>/<split>-00000.parquet` and so on.
        """
        place = f"{base}{config}"
        count = 0

        def blocks() -> Iterator[pa.Table]:
            nonlocal count
            waiting: list[Sequence[Any]] = []
            for row in rows:
                waiting.append(row)
                if len(waiting) == BLOCK_ROWS:
                    count += len(waiting)
                    yield _columns(waiting, schema)
                    waiting = []
            count += len(waiting)
            if waiting:
                yield _columns(waiting, schema)

        (self.partial / place).mkdir(parents=True, exist_ok=True)
        for name, facts in parquet.write_stream(self.partial / place, split, schema, blocks(), BLOCK_ROWS):
            self._rows[f"{place}/{name}"] = facts.rows
        if count:
            # `datasets` cannot open a split without rows: the file is there, and no configuration names it.
            self.tables.setdefault(config, {})[split] = f"{place}/{split}-*.parquet"
        return count

    def name(self, config: str, split: str, path: str) -> None:
        """Make a file of lines one that `datasets` opens by configuration and split."""
        if self._rows.get(path):
            self.tables.setdefault(config, {})[split] = path

    def text(self, name: str, text: str) -> None:
        """A small text file."""
        files.write_text(self._new(name), text)
        self._rows[name] = text.count("\n")

    def finish(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest with all files and put the folder in its place; returns the manifest."""
        listed = [
            {"path": name, "rows": rows, "size_bytes": path.stat().st_size, "sha256": parquet.sha256(path)}
            for name, rows in sorted(self._rows.items())
            for path in [self.partial / name]
        ]
        whole = {"format": FORMAT, **manifest, "files": listed}
        files.write_text(
            self.partial / MANIFEST, json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        )
        files.exchange(self.partial, self.out)
        return whole

    def drop(self) -> None:
        """Remove what was written of an export that failed."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def _new(self, name: str) -> Path:
        path = self.partial / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.disk_error(path, error) from error
        return path


def check_place(out: Path, view: str, release: str) -> None:
    """Refuse a folder that holds anything but an earlier export of the same release to the same view."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir():
        raise StoreError(f"{out}: is a file; name a folder with --out")
    try:
        found = json.loads((out / MANIFEST).read_text("utf-8"))
        before = (found["format"], found["view"], found["release"]["name"])
        known = {MANIFEST, *(entry["path"] for entry in found["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{out}: is not empty and no export; name another folder with --out") from None
    if before != (FORMAT, view, release):
        raise StoreError(f"{out}: holds an export of {before[2]} to {before[1]}; name another folder with --out")
    for path in sorted(out.rglob("*")):
        if path.is_file() and (name := path.relative_to(out).as_posix()) not in known:
            raise StoreError(
                f"{out}: holds {name}, which is not part of the export; move it away or name another --out"
            )


def _columns(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.Table.from_arrays(
        [pa.array(values, column.type) for values, column in zip(columns, schema, strict=True)], schema=schema
    )
