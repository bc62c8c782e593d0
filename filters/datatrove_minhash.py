"""Near duplicates whose candidates datatrove finds: the same stage for tables that are beyond one machine's memory.

datatrove's blocks sign, match and cluster; what its fourth block would drop is verified here by exact Jaccard index and given
keepers by the same policy as in `FindNear`, whose shingles are used too. datatrove's signatures hold only positions, and its
blocks do not check that these still mean the same documents: here a fingerprint of what was signed is kept and compared with
the rows before clusters are used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dsbuild import files
from dsbuild.errors import MissingExtra, StoreError
from dsbuild.filters.datatrove_adapter import datatrove_version
from dsbuild.filters.duplicates import Keyed, joined, of_table
from dsbuild.filters.lsh import Rows
from dsbuild.filters.near_duplicates import FindNear, Near
from dsbuild.filters.shingles import Hashes, Shingling
from dsbuild.filters.utf8 import encode
from dsbuild.parquet import read


@dataclass(frozen=True)
class FindNearDatatrove(FindNear):
    """`FindNear` with datatrove's MinHash blocks for finding candidates; same inputs and outputs, the extra [scale] is needed.

    workers: processes of datatrove's local executor; peer: datatrove's version. Candidates are whole clusters: rows that are joined by a
    chain of pairs that agree in a band.
    """

    workers: int = field(default=1, compare=False)
    peer: str = field(default_factory=datatrove_version)

    name: ClassVar[str] = "near-datatrove"
    version: ClassVar[int] = 2

    def agreeing(
        self, keyed: Keyed, inputs: Mapping[str, Any], alive: npt.NDArray[np.bool_], scratch: Path
    ) -> Iterable[Hashes]:
        """One band: the number of each row's cluster."""
        source = Documents(
            tuple(
                (str(path), str(keys), self.fields[table])
                for (table, path), keys in zip(
                    ((table, path) for table in keyed.tables for path in of_table(inputs, "rows", table).paths),
                    keyed.paths,
                    strict=True,
                )
            ),
            tuple(
                np.flatnonzero(alive[start:end]) for start, end in zip(keyed.borders, keyed.borders[1:], strict=False)
            ),
            scratch / "datatrove",
        )
        find_clusters(source, self.near, self.workers)
        source.check()
        return [clusters_of(source)]


@dataclass(frozen=True)
class Documents:
    """The rows of each shard as datatrove's documents: a pipeline step that gives shard `rank` to task `rank`.

    shards: for each its file of rows, its file of keys, and the columns that are the text; chosen: which of its keys take part.
    """

    shards: tuple[tuple[str, str, tuple[str, ...]], ...]
    chosen: tuple[Rows, ...]
    folder: Path

    name: ClassVar[str] = "dsbuild rows"
    type: ClassVar[str] = "dsbuild"

    def __call__(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Documents of the shard; its fingerprint is written when all were given."""
        from datatrove.data import Document  # type: ignore[import-not-found, unused-ignore]

        state = xxhash.xxh3_128()
        for row, text in self._rows(rank):
            _add(state, row, text)
            yield Document(text=text, id=row)
        files.write_text(self.folder / f"{rank:06d}.fingerprint", json.dumps(state.hexdigest()))

    def check(self) -> None:
        """Read the rows again: a `StoreError` names the shard whose rows are not those that were signed."""
        for rank, (path, _, _) in enumerate(self.shards):
            state = xxhash.xxh3_128()
            for row, text in self._rows(rank):
                _add(state, row, text)
            signed = self.folder / f"{rank:06d}.fingerprint"
            if not signed.exists() or json.loads(signed.read_text("utf-8")) != state.hexdigest():
                raise StoreError(
                    f"{path}: not the rows that were signed, so clusters would name others; delete {self.folder} and run again"
                )

    def _rows(self, rank: int) -> Iterator[tuple[str, str]]:
        path, keys, fields = self.shards[rank]
        index = read(Path(keys), ["row"])["row"].take(pa.array(self.chosen[rank]))
        ids = read(Path(keys), ["id"])["id"].take(pa.array(self.chosen[rank]))
        texts = joined(read(Path(path), list(fields)).take(index), fields)
        for place in range(len(texts)):
            yield ids[place].as_py(), texts[place].as_py()


def _add(state: Any, row: str, text: str) -> None:
    for part in (row.encode(), text.encode()):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)


def find_clusters(source: Documents, near: Near, workers: int) -> None:
    """Run datatrove's first three blocks with its local executor; signatures, pairs and clusters are left in the source's folder."""
    try:
        from datatrove.executor import LocalPipelineExecutor  # type: ignore[import-not-found, unused-ignore]
        from datatrove.pipeline.dedup import (  # type: ignore[import-not-found, unused-ignore]
            MinhashDedupBuckets,
            MinhashDedupCluster,
            MinhashDedupSignature,
        )
        from datatrove.pipeline.dedup.minhash import MinhashConfig  # type: ignore[import-not-found, unused-ignore]
        from datatrove.utils.word_tokenizers import WordTokenizer  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError as error:
        raise MissingExtra("near duplicates by datatrove", "datatrove", "scale") from error
    # A tokenizer must be named, and datatrove's own are loaded when they are; none is called, since the shingles are ours.
    unused = type("Unused", (WordTokenizer,), dict.fromkeys(WordTokenizer.__abstractmethods__))("none")
    config = MinhashConfig(near.shingling.size, near.bands.bands, near.bands.rows)
    signatures, pairs, clusters = (str(source.folder / name) for name in ("signatures", "pairs", "clusters"))
    sign = MinhashDedupSignature(signatures, config, unused)
    sign.get_shingles = partial(_shingles, near.shingling)
    match = MinhashDedupBuckets(signatures, pairs, config=config)
    cluster = MinhashDedupCluster(pairs, clusters, config=config, save_cluster_id=True)
    for name, steps, tasks in (
        ("sign", [source, sign], len(source.shards)), ("match", [match], near.bands.bands), ("cluster", [cluster], 1),
    ):  # fmt: skip
        logs = str(source.folder / "logs" / name)
        LocalPipelineExecutor(steps, tasks=tasks, workers=workers, logging_dir=logs, skip_completed=False).run()


def clusters_of(source: Documents) -> Hashes:
    """The cluster number of each row that takes part, shard by shard; a row without a cluster has a number of its own."""
    total = sum(map(len, source.chosen))
    found = np.arange(total, dtype=np.uint64) + np.uint64(1 << 32)
    first = 0
    for rank, rows in enumerate(source.chosen):
        path = source.folder / "clusters" / f"{rank:06d}.clusters"
        if path.exists():
            members = np.fromfile(path, "<u4").reshape(-1, 2)
            found[first + members[:, 0].astype(np.int64)] = members[:, 1]
        first += len(rows)
    return found


def _shingles(shingling: Shingling, text: str) -> Hashes:
    return shingling.sets(*encode([text]))[0].reshape(-1, 1)
