"""A labelled set in several files, one for each split: `tacred:DIR`, `tacred:train.json,test.json` or `tacred:train=A.json,test=B.json`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from dsbuild.builders.labelled.formats import NUMBERED, LabelledSource, open_labelled, without_number
from dsbuild.builders.labelled.parquet import LabelledParquet
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Span

SPLITS = ("train", "dev", "valid", "validation", "test")
# Back-translations lie beside the test split that they were made of, and are no split of the set.
_BACK = "bt"
_NAME = re.compile(r"\w+", re.ASCII)
_SHOWN = 60


@dataclass
class SplitSet:
    """Several files of one kind as one set: the files by split, in their order. Ids stand once in all of them."""

    path: Path
    parts: Mapping[str, LabelledSource]

    @property
    def kind(self) -> str:
        """The kind of all files."""
        return self._first.kind

    @property
    def relational(self) -> bool:
        """See `LabelledSource`."""
        return self._first.relational

    @property
    def lang(self) -> str | None:
        """What was said of all files."""
        return self._first.lang

    @property
    def _first(self) -> LabelledSource:
        return next(iter(self.parts.values()))

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`; split after split."""
        return (item for _, item in self.of_splits())

    def of_splits(self, limit: int = 0) -> Iterator[tuple[str, Labelled]]:
        """Every text with its split; limit: at most so many of each (0: all)."""
        return self._once((split, islice(one.read(), limit or None)) for split, one in self.parts.items())

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`; split after split."""
        return (item for _, item in self._once((split, one.targets()) for split, one in self.parts.items()))

    def _once(self, parts: Iterable[tuple[str, Iterator[Labelled]]]) -> Iterator[tuple[str, Labelled]]:
        seen: dict[str, str] = {}
        for split, items in parts:
            for item in items:
                # Numbers begin anew in every file.
                numbered = item.extra.get(NUMBERED)
                named = replace(item, id=f"{split}-{item.id}", extra=without_number(item.extra)) if numbered else item
                if (before := seen.setdefault(named.id, split)) != split:
                    raise SourceError(
                        f"{self.parts[split].path}: the id {named.id[:_SHOWN]!r} is one of {before} too; ids must stand once in all splits"
                    )
                yield split, named

    def carried(self, source: Labelled, target: Labelled, spans: Sequence[Span]) -> Labelled:
        """See `LabelledSource`."""
        return self._first.carried(source, target, spans)

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`; one file."""
        return self._first.write(items, path)

    def notes(self) -> list[str]:
        """See `LabelledSource`."""
        return [note for one in self.parts.values() for note in one.notes()]


def of_splits(source: LabelledSource, limit: int = 0) -> Iterator[tuple[str, Labelled]]:
    """The texts of a set with their splits ("" where it has none); limit: at most so many of each split (0: all)."""
    if isinstance(source, SplitSet):
        return source.of_splits(limit)
    return (("", item) for item in islice(source.read(), limit or None))


def parts_of(source: LabelledSource) -> tuple[LabelledSource, ...]:
    """The readers of a set: one for each split, or the set itself."""
    return tuple(source.parts.values()) if isinstance(source, SplitSet) else (source,)


def files_of(source: LabelledSource) -> tuple[Path, ...]:
    """The files of a set; a folder of Parquet files holds several."""
    if isinstance(source, SplitSet):
        return tuple(one.path for one in source.parts.values())
    return tuple(source.files()) if isinstance(source, LabelledParquet) else (source.path,)


def open_split_set(spec: str, *, lang: str | None, options: Mapping[str, str]) -> LabelledSource:
    """KIND:FILE as `open_labelled` opens it, or a `SplitSet` where several files are named, or a folder of files."""
    kind, _, path = spec.partition(":")
    files = split_files(path) if path and kind != "parquet" else {}
    if not files:
        return open_labelled(spec, lang=lang, options=options)
    parts = {split: open_labelled(f"{kind}:{file}", lang=lang, options=options) for split, file in files.items()}
    return SplitSet(Path(path.split(",")[0].rpartition("=")[2]).expanduser(), parts)


def split_files(path: str) -> dict[str, Path]:
    """The files of each split that a path names; none where it is one file.

    A folder's are those whose name says train, dev, valid, validation or test, in this order. `SourceError` for a folder without any,
    two files of one split, and a file that does not say its split.
    """
    whole = Path(path).expanduser()
    if whole.is_dir():
        told = [(split, file) for file in sorted(whole.iterdir()) if file.is_file() and (split := _split_of(file))]
        if not told:
            raise SourceError(
                f"{path}: no file in it is named after a split ({', '.join(SPLITS)}); name the files: train=FILE,test=FILE"
            )
        return _single(path, sorted(told, key=lambda one: SPLITS.index(one[0])))
    if whole.exists() or not ("," in path or "=" in path):
        return {}
    named = []
    for part in path.split(","):
        split, equals, file = part.rpartition("=")
        found = Path(file).expanduser()
        split = split if equals else _split_of(found)
        if not _NAME.fullmatch(split):
            raise SourceError(f"{part}: of which split? Say it with letters, digits and _: train={file}")
        if not found.is_file():
            raise SourceError(f"{file}: no such file")
        named.append((split, found))
    return _single(path, named)


def _single(path: str, told: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for split, file in told:
        if split in found:
            raise SourceError(
                f"{path}: {found[split].name} and {file.name} are both of the split {split}; name one file for each: {split}=FILE"
            )
        found[split] = file
    return found


def _split_of(file: Path) -> str:
    """The split that a file's name says, "" where it says none.

    >>> _split_of(Path("test_de_sample.jsonl")), _split_of(Path("test_en_de_bt.jsonl")), _split_of(Path("readme.md"))
    ('test', '', '')
    """
    words = re.split(r"[^a-z]+", file.name.lower())
    found = [word for word in words if word in SPLITS]
    return found[0] if len(set(found)) == 1 and _BACK not in words else ""
