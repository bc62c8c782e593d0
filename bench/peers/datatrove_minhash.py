"""Near duplicates by datatrove's four MinHash stages, timed in CPU seconds of this process and its children."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.logging import logger
from datatrove.utils.word_tokenizers import WordTokenizer


class Whitespace(WordTokenizer):
    """Words are what stands between spaces: datatrove's fastest tokenizer would be slower."""

    def __init__(self) -> None:
        super().__init__("whitespace")

    def word_tokenize(self, text: str) -> list[str]:
        """Words."""
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        """Lines; not used here."""
        return text.split("\n")

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Not used here."""
        return []


def cpu_seconds() -> float:
    """CPU seconds so far, of this process and its ended children."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def end_to_end(data: Path, out: Path, tasks: int) -> None:
    """JSON lines -> signatures -> buckets -> clusters -> JSON lines of what is kept."""
    config = MinhashConfig()

    def stage(name: str, pipeline: list, tasks: int) -> None:
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(out / "logs" / name)).run()

    stage("1", [JsonlReader(str(data)), MinhashDedupSignature(str(out / "sig"), config, Whitespace())], tasks)
    stage("2", [MinhashDedupBuckets(str(out / "sig"), str(out / "buckets"), config=config)], config.num_buckets)
    stage("3", [MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config=config, save_cluster_id=True)], 1)
    kept = JsonlWriter(str(out / "kept"), compression=None)
    stage("4", [JsonlReader(str(data)), MinhashDedupFilter(str(out / "remove")), kept], tasks)


def kernel(texts: list[str], out: Path) -> None:
    """The first three stages on documents that are in memory: no JSON is read or written, no process started."""
    config = MinhashConfig()

    def documents() -> Iterator[Document]:
        return (Document(text=text, id="") for text in texts)

    MinhashDedupSignature(str(out / "sig"), config, Whitespace()).run(documents(), 0, 1)
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(str(out / "sig"), str(out / "buckets"), config=config).run(None, bucket, config.num_buckets)
    MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config=config).run(None, 0, 1)


def pairs(out: Path, borders: list[int]) -> list[tuple[int, int]]:
    """All pairs of rows that are in one cluster."""
    clusters: dict[int, list[int]] = {}
    for task, first in enumerate(borders):
        path = out / "remove" / f"{task:06d}.clusters"
        if path.exists():
            for row, cluster in struct.iter_unpack("<2I", path.read_bytes()):
                clusters.setdefault(cluster, []).append(first + row)
    return [(one, other) for rows in clusters.values() for one in sorted(rows) for other in sorted(rows) if one < other]


def main() -> None:
    """Answer the request: seconds by measure, and the pairs found."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    logger.remove()
    out, data = Path("out"), Path(request["data"])
    files = sorted(data.glob("*.jsonl"))
    lines = [path.read_text("utf-8").splitlines() for path in files]
    texts = [json.loads(line)["text"] for part in lines for line in part]
    answer: dict[str, object] = {}
    with contextlib.redirect_stderr(io.StringIO()):
        for name in request["measure"]:
            shutil.rmtree(out, ignore_errors=True)
            start = cpu_seconds()
            if name == "kernel":
                kernel(texts, out)
            else:
                end_to_end(data, out, len(files))
            answer[name] = cpu_seconds() - start
            if name == "end_to_end":
                answer["pairs"] = pairs(out, [sum(map(len, lines[:number])) for number in range(len(lines))])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
