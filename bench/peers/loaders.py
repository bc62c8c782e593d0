"""The training loaders of FlagEmbedding, PyLate, ColBERT and Tevatron, each on a folder that `dsbuild export` wrote: prints what they read."""

from __future__ import annotations

import importlib.metadata
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def flagembedding(request: dict[str, Any]) -> dict[str, Any]:
    """First passages of every row, without and with scores."""
    from FlagEmbedding.abc.finetune.embedder.AbsArguments import AbsEmbedderDataArguments
    from FlagEmbedding.abc.finetune.embedder.AbsDataset import AbsEmbedderTrainDataset

    random.seed(0)
    found = {}
    for name, distils in (("folder", False), ("scores", True)):
        arguments = AbsEmbedderDataArguments(
            train_data=[request[name]], cache_path=request["cache"], train_group_size=4, knowledge_distillation=distils
        )
        rows = AbsEmbedderTrainDataset(arguments, tokenizer=None)
        read = [rows[i] for i in range(len(rows))]
        assert all(len(passages) == 4 for _, passages, _ in read)
        assert all((scores is not None and len(scores) == 4) == distils for _, _, scores in read)
        found[name] = [[query, *passages[:1]] for query, passages, _ in read]
    return {"rows": found["folder"], "distilled": found["scores"]}


def pylate(request: dict[str, Any]) -> dict[str, Any]:
    """Distillation rows through KDProcessing, contrastive ones through the collator."""
    from datasets import load_dataset
    from pylate import utils

    tables = [
        load_dataset(request["kd"], name, split=split, cache_dir=request["cache"]) for name, split in request["tables"]
    ]
    train, queries, documents = tables
    train.set_transform(utils.KDProcessing(queries=queries, documents=documents).transform)
    rows = list(train)
    assert all(len(row["documents"]) == len(row["scores"]) and "" not in row["documents"] for row in rows)
    contrastive = load_dataset(
        request["contrastive"], request["config"], split=request["split"], cache_dir=request["cache"]
    )
    collator = utils.ColBERTCollator(tokenize_fn=lambda texts, **_: {"n": len(texts)})
    batch = collator([contrastive[i] for i in range(2)])
    return {"rows": [[row["query"], row["documents"][0]] for row in rows], "columns": sorted(batch)}


def colbert(request: dict[str, Any]) -> dict[str, Any]:
    """Triples as texts."""
    from colbert.data.collection import Collection
    from colbert.data.examples import Examples
    from colbert.data.queries import Queries

    folder = request["folder"]
    collection, queries = Collection(f"{folder}/collection.tsv"), Queries(f"{folder}/queries.tsv")
    examples = Examples(f"{folder}/triples/{request['split']}.jsonl", nway=2).tolist()
    return {
        "rows": [[queries[query], collection[positive]] for query, positive, _ in examples],
        "documents": len(collection), "queries": len(queries),
    }  # fmt: skip


def tevatron(request: dict[str, Any]) -> dict[str, Any]:
    """Groups as the preprocessor of 0.1.0 makes them."""
    from datasets import load_dataset
    from tevatron.datasets.preprocessor import TrainPreProcessor

    words = SimpleNamespace(encode=lambda text, **_: text)
    read = TrainPreProcessor(words, separator=" ")
    rows = load_dataset("json", data_files=request["file"], split="train", cache_dir=request["cache"])
    made = [read(row) for row in rows]
    assert all(one["positives"] and one["negatives"] for one in made)
    return {"rows": [[one["query"], one["positives"][0]] for one in made]}


LOADERS = {"flagembedding": flagembedding, "pylate": pylate, "colbert": colbert, "tevatron": tevatron}


def main() -> None:
    """Answer."""
    asked = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    sys.stdout, out = sys.stderr, sys.stdout
    found = LOADERS[asked["loader"]](asked)
    found["version"] = importlib.metadata.version(asked["package"])
    print(json.dumps(found, ensure_ascii=False), file=out)


main()
