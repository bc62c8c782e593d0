"""The stage that looks up, for each segment, the most similar segments of a translation memory."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild import languages
from dsbuild.errors import EngineError, RecipeError, UnknownName
from dsbuild.stage import Result, Shard, Workspace
from dsbuild.translate.example_memory import Exact, ExampleMemory
from dsbuild.translate.memory import read_pairs

EXAMPLE = pa.struct(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),  # fuzzy match, in (0, 1]
    ]
)
EXAMPLES = pa.schema(
    [
        pa.field("uid", pa.int64(), nullable=False),
        # The most similar first.
        pa.field("examples", pa.list_(pa.field("element", EXAMPLE, nullable=False)), nullable=False),
    ]
)
KINDS = ("tsv", "tmx", "jsonl", "parquet")

# One index at a time is open: those of several directions would lie on disk together.
_open: dict[tuple[object, ...], ExampleMemory] = {}


@dataclass(frozen=True)
class FindExamples:
    """Find the k most similar segments of a memory for each segment, at or over a threshold (`ExampleMemory`).

    digests: sha256 of the memory's files, which decide the outcome, not where they lie. exact: "skip" shows no segment of the same words: the
    translation of a test set must not be found in its own reference.
    """

    src: str
    tgt: str
    digests: tuple[str, ...]
    k: int
    threshold: float
    exact: Exact
    files: tuple[Path, ...] = field(compare=False)

    name: ClassVar[str] = "examples"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """segments (`UNIQUE`) -> out (`EXAMPLES`), row by row."""
        memory = self._memory()
        segments: pa.Table = inputs["segments"]
        rows = [
            [
                {"source": one.source, "target": one.target, "score": one.score}
                for one in memory.similar(text, self.k, self.exact)
            ]
            for text in segments["text"].to_pylist()
        ]
        out = pa.table([segments["uid"], pa.array(rows, EXAMPLES.field("examples").type)], schema=EXAMPLES)
        facts = {"with_examples": sum(map(bool, rows)), "memory": len(memory)}
        return Result({"out": [Shard(out)]}, facts=facts)

    def _memory(self) -> ExampleMemory:
        key = (self.src, self.tgt, self.digests, self.threshold)
        if key not in _open:
            close_examples()
            _open[key] = ExampleMemory(direction(self.files, self.src, self.tgt), self.threshold)
        return _open[key]


@atexit.register
def close_examples() -> None:
    """Remove the index that is open."""
    while _open:
        _open.popitem()[1].close()


def files_of(said: str) -> tuple[Path, ...]:
    """The files of a memory: a file as the engine `memory` reads it, or all such files of a folder."""
    path = Path(said).expanduser()
    if path.is_dir():
        found = tuple(sorted(one for one in path.rglob("*") if one.suffix.lower().removeprefix(".") in KINDS))
        if not found:
            raise RecipeError(f"examples.file {said}: no {', '.join(KINDS)} file in that folder")
        return found
    if not path.is_file():
        raise RecipeError(
            f"examples.file {said}: no such file or folder; name translations as the engine memory reads them"
        )
    return (path,)


def check_examples(files: Sequence[Path], src: str, tgts: Sequence[str]) -> None:
    """Raise `EngineError` unless the files hold at least one pair for every direction."""
    for tgt in tgts:
        if next(direction(files, src, tgt), None) is None:
            raise EngineError(f"{files[0]}: no pair {src} -> {tgt} to show as an example")


def direction(files: Sequence[Path], src: str, tgt: str) -> Iterator[tuple[str, str]]:
    """Source and target of every pair of one direction, in order; languages may be spelled otherwise than there."""
    same: dict[str, str] = {}

    def code(said: str) -> str:
        if said not in same:
            try:
                same[said] = languages.get(said).code
            except UnknownName:
                same[said] = ""
        return same[said]

    for path in files:
        for one, other, source, target in read_pairs(path):
            if code(one) == src and code(other) == tgt:
                yield source, target
