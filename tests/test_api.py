"""`dsbuild.load`: what it gives is what the files hold, read with pyarrow alone; the documentation's code runs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import dsbuild
from dsbuild.errors import DsbuildError
from tests.small_releases import write, write_docs
from tests.small_set import CAFE, LINES, QRELS, ROOT, cli, make, rows, write_memory, write_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """outputs/my-set/1.0.0: a released translation with the splits train and test; a row is lost in ta."""
    folder = tmp_path_factory.mktemp("api")
    source = write_set(folder / "set", qrels={"train": QRELS[:6], "test": QRELS[6:]})
    make(folder, source, write_memory(folder / "memory.tsv", missing={"ta": [CAFE]}), ("hi", "ta"))
    code, _, err = cli(
        "release",
        folder / "out",
        "--name",
        "my-set",
        "--version",
        "1.0.0",
        "--license",
        "cc-by-4.0",
        "--out",
        folder / "outputs/my-set",
    )
    assert code == 0, err
    return folder / "outputs/my-set/1.0.0"


def test_what_a_release_says_of_itself(folder: Path) -> None:
    release = dsbuild.load(str(folder))
    assert (release.name, release.version, release.languages) == ("my-set", "1.0.0", ("en", "hi", "ta"))
    assert release.tables("hi") == ("corpus", "qrels", "queries")
    assert release.manifest == json.loads((folder / "manifest.json").read_text("utf-8"))
    table = release.table("hi", "queries")
    assert (len(table), table.splits, table.split) == (5, ("test", "train"), None)
    assert table.columns[:3] == ["query_id", "text", "lang"]


@pytest.mark.parametrize(("lang", "table"), [("hi", "corpus"), ("ta", "corpus"), ("hi", "queries"), ("en", "qrels")])
def test_every_view_has_the_rows_of_the_files(folder: Path, tmp_path: Path, lang: str, table: str) -> None:
    found = dsbuild.load(folder).table(lang, table)
    expected = rows(folder, f"{lang}-{table}/*")
    assert len(expected) == found.num_rows > 0
    assert found.arrow().to_pylist() == expected
    assert [row for part in found.stream(batch_rows=2) for row in part.to_pylist()] == expected
    assert [part.num_rows for part in found.stream(batch_rows=2)] == [2] * (len(expected) // 2) + [1] * (
        len(expected) % 2
    )
    assert pa.Table.from_pandas(found.pandas(), preserve_index=False).to_pylist() == expected
    data = found.dataset(cache_dir=tmp_path)
    assert data.to_list() == expected
    assert data.cache_files
    last = found.columns[::-1][:2]
    picked = [{name: row[name] for name in last} for row in expected]
    assert found.arrow(last).column_names == found.dataset(last, tmp_path).column_names == last
    assert found.arrow(last).to_pylist() == found.dataset(last, tmp_path).to_list() == picked
    assert [row for part in found.stream(last) for row in part.to_pylist()] == picked
    for split in found.splits:
        assert dsbuild.load(folder).table(lang, table, split).arrow().to_pylist() == rows(
            folder, f"{lang}-{table}/{split}-*"
        )


def test_judgements_lost_rows_and_verdicts(folder: Path) -> None:
    release = dsbuild.load(folder)
    assert release.qrels("hi", "test").arrow().to_pylist() == rows(folder, "hi-qrels/test-*")
    lost = release.dropped("ta", "corpus")
    assert lost is not None
    assert lost.arrow().to_pylist() == rows(folder, "dropped/ta-corpus-*")
    assert lost.arrow(["doc_id", "fate"]).to_pylist() == [{"doc_id": "d6", "fate": "failed"}]
    assert release.dropped("hi", "corpus") is None
    assert release.verdicts().arrow().to_pylist() == rows(folder, "dropped/verdicts-*")


def test_batches_are_positions_in_the_rows(folder: Path, tmp_path: Path) -> None:
    table = dsbuild.load(folder).table("hi", "corpus")
    plan = table.batches(2, seed=7, epoch=1)
    data = table.dataset(["doc_id"], tmp_path)
    read = [name for batch in plan for name in data[batch]["doc_id"]]
    assert sorted(read) == sorted(row["doc_id"] for row in rows(folder, "hi-corpus/*"))
    assert list(plan) == list(dsbuild.plan_batches(len(table), 2, seed=7, epoch=1))
    lengths = [len((row["title"] + row["text"]).encode("utf-8")) for row in rows(folder, "hi-corpus/*")]
    assert list(table.batches(3, group_by_length=True)) == list(dsbuild.plan_batches(len(table), 3, lengths=lengths))
    titles = [len(row["title"].encode("utf-8")) for row in rows(folder, "hi-corpus/*")]
    assert list(table.batches(3, group_by_length=["title"])) == list(
        dsbuild.plan_batches(len(table), 3, lengths=titles)
    )


def test_no_text_is_read_for_a_plan(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    table = dsbuild.load(copy).table("hi", "corpus")
    shutil.rmtree(copy / "hi-corpus")
    assert table.batches(4).num_rows == len(table)


def test_streams_hold_one_row_group(tmp_path: Path) -> None:
    """Four row groups of 65,536: what is alive at once does not grow with the table."""
    import gc

    from dsbuild import parquet

    n = 4 * parquet.ROW_GROUP_ROWS
    made = write_docs(
        tmp_path / "docs", [{"doc_id": str(i), "text": "x" * 40, "lang": "hi", "score": None} for i in range(n)]
    )
    table = dsbuild.load(made).table("hi", "documents")
    gc.collect()
    before, peak, seen = pa.total_allocated_bytes(), 0, 0
    for part in table.stream(["text"], batch_rows=1000):
        peak, seen = max(peak, pa.total_allocated_bytes() - before), seen + part.num_rows
    assert seen == n
    assert peak < 2.5 * parquet.ROW_GROUP_ROWS * 44 < n * 44


def test_a_split_without_rows(tmp_path: Path) -> None:
    table = dsbuild.load(write(tmp_path / "none", {"hi-documents": {"train": []}})).table("hi", "documents")
    assert (len(table), list(table.stream()), table.arrow().num_rows, table.dataset(cache_dir=tmp_path).num_rows) == (
        0,
        [],
        0,
        0,
    )
    assert list(table.batches(4, group_by_length=True)) == []


def test_errors_are_one_line_and_name_the_nearest(folder: Path, tmp_path: Path) -> None:
    release = dsbuild.load(folder)
    table = release.table("hi", "queries")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "hi-corpus/corpus-00000-of-00001.parquet").write_bytes(b"cut")
    (tmp_path / "empty").mkdir()
    wrong: dict[str, Callable[[], object]] = {
        "no language in this release 'hii'. Did you mean 'hi'?": lambda: release.table("hii", "corpus"),
        "no table of hi 'corpsu'. Did you mean 'corpus'?": lambda: release.table("hi", "corpsu"),
        "no split of hi-queries 'trian'. Did you mean 'train'?": lambda: release.table("hi", "queries", "trian"),
        "no column of hi-queries 'txt'. Did you mean 'text'?": lambda: table.arrow(["txt"]),
        "no language of which rows were counted 'taa'": lambda: release.dropped("taa", "corpus"),
        "no table of ta 'document'": lambda: release.dropped("ta", "document"),
        "batch_rows=0": lambda: table.stream(batch_rows=0),
        "name columns in group_by_length": lambda: release.qrels("hi").batches(4, group_by_length=True),
        "relevance is int32, not text": lambda: release.qrels("hi").batches(4, group_by_length=["relevance"]),
        "no such folder": lambda: dsbuild.load(tmp_path / "nowhere"),
        "no manifest.json": lambda: dsbuild.load(tmp_path / "empty"),
        "holds the releases 1.0.0; name one": lambda: dsbuild.load(folder.parent),
        "hi-corpus/corpus-00000-of-00001.parquet: changed since": lambda: dsbuild.load(copy),
    }
    for words, call in wrong.items():
        with pytest.raises(DsbuildError) as caught:
            call()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        _ = dsbuild.laod  # type: ignore[attr-defined]


def test_importing_is_light() -> None:
    heavy = "pyarrow numpy duckdb datasets pandas torch".split()
    code = (
        f"import sys, dsbuild; print([name for name in {heavy} if name in sys.modules])\n"
        "dsbuild.load; print([name for name in ('datasets', 'pandas', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["[]", "[]"]


def test_the_code_of_the_documentation_runs(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path, "\n".join(block for block in blocks() if "sentence_transformers" not in block))


def test_a_retriever_is_trained_as_documented(folder: Path, tmp_path: Path) -> None:
    """The documented example on a model of one layer that is made here; its weights change."""
    if importlib.util.find_spec("sentence_transformers") is None or importlib.util.find_spec("accelerate") is None:
        pytest.skip("sentence-transformers is not installed")
    (example,) = (block for block in blocks() if "sentence_transformers" in block)
    end = """
from safetensors.torch import load_file
before, after = (load_file(f"models/{name}/model.safetensors") for name in ("base", "trained"))
assert before.keys() == after.keys()
assert any(not (before[key] == after[key]).all() for key in before)
assert model.encode(["नदी"]).shape == (1, 16)
assert sorted(train["query"]) == sorted(expected) and len(train) == len(expected)
"""
    judged = [row for row in rows(folder, "hi-qrels/train-*") if row["relevance"] > 0]
    texts = {row["query_id"]: row["text"] for row in rows(folder, "hi-queries/*")}
    expected = [texts[row["query_id"]] for row in judged]
    run(folder, tmp_path, f"{_MODEL.format(words=words())}\n{example}\nexpected = {expected!r}\n{end}")


_MODEL = """
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
special = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
vocabulary = {{word: number for number, word in enumerate([*special.values(), *{words!r}])}}
tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **special).save_pretrained("bert")
BertModel(BertConfig(
    vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64
)).save_pretrained("bert")
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
SentenceTransformer(modules=[Transformer("bert"), Pooling(16)]).save("models/base")
"""


def words() -> list[str]:
    return sorted({word for texts in LINES.values() for text in texts for word in text.split()})


def blocks() -> list[str]:
    found = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text("utf-8"), re.DOTALL)
    assert len(found) == 5
    return found


def run(release: Path, place: Path, code: str) -> None:
    """In a process of its own, in a folder where the documentation's paths lead somewhere, without network."""
    (place / "outputs/my-set").mkdir(parents=True)
    (place / "outputs/my-set/1.0.0").symlink_to(release)
    (place / "code.py").write_text(code, "utf-8")
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(place / "hf"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "code.py"], cwd=place, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
