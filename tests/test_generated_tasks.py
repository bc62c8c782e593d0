"""Generated triplets and pairs as releases, with tasks of the test's own: tables, accounting, sets that come from no source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from dsbuild.builders import TASKS
from dsbuild.builders.generation.generation import Item
from dsbuild.language_model import Sampling
from dsbuild.llm import close_models
from dsbuild.prompts import parse
from tests.scripted_chat import ScriptedChat
from tests.small_set import cli, rows
from tests.test_generated import PLACES, TOPICS, generate, write

TRIPLET = {name: {"type": "string"} for name in ("query", "positive", "negative")}
PAIR = {name: {"type": "string"} for name in ("a", "b")}


def prompt(properties: dict[str, Any]) -> Any:
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return parse("test", f"---\nversion: 3\nsource: the test\nschema: {json.dumps(schema)}\n---\nAnswer in JSON.")


class Base:
    """What both tasks share: one item a row."""

    sampling = Sampling(max_tokens=50)
    logprobs = False
    shown = ""
    steps: ClassVar[tuple[str, ...]] = ()
    shows_set = False

    def items(self, table: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        for row in table.select(["doc_id", "text"]).to_pylist():
            yield Item(row["doc_id"], lang, 0, {"passage": row["text"], "number": row["doc_id"]})

    def examples(self, item: Item) -> tuple[()]:
        return ()


@dataclass(frozen=True)
class Triplet(Base):
    """Triplets from nothing."""

    name: ClassVar[str] = "triplets"
    style: ClassVar[str] = "plain"
    needs_source: ClassVar[bool] = False
    columns: ClassVar[pa.Schema] = pa.schema([(name, pa.string()) for name in ("instruction", "positive", "negative")])
    prompt: ClassVar[Any] = prompt(TRIPLET)

    def read(self, item: Item, value: Any) -> Any:
        return [
            {
                "text": value["query"],
                "instruction": "Find it.",
                **{name: value[name] for name in ("positive", "negative")},
            }
        ]


@dataclass(frozen=True)
class Pair(Base):
    """Pairs with a similarity."""

    name: ClassVar[str] = "sts"
    style: ClassVar[str] = "plain"
    columns: ClassVar[pa.Schema] = pa.schema([("text_b", pa.string()), ("score", pa.float64())])
    prompt: ClassVar[Any] = prompt(PAIR)

    def read(self, item: Item, value: Any) -> Any:
        return [] if value["a"] == value["b"] else [{"text": value["a"], "text_b": value["b"], "score": 2.5}]


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(TASKS._table, "triplets/plain", "tests.test_generated_tasks:Triplet")
    monkeypatch.setitem(TASKS._table, "sts/plain", "tests.test_generated_tasks:Pair")
    yield
    close_models()


def triplet(data: dict[str, Any], body: Any) -> Any:
    number = int((data.get("number") or "n1")[1:])
    topic, place = TOPICS[number % 16], PLACES[number % 8]
    query = (
        f"what does the passage say of the {topic}"
        if number % 10 == 0
        else f"which {topic} is the oldest of the {place}"
    )
    return {
        "query": query,
        "positive": f"The {topic} of the {place} is old.",
        "negative": f"The {topic} is elsewhere {number}.",
    }


def test_triplets_of_no_source_are_a_retrieval_set_with_negatives(tmp_path: Path) -> None:
    place = ("--out", str(tmp_path / "out"), "--store", str(tmp_path / "s"), "--format", "json")
    with ScriptedChat(triplet) as chat:
        given = ("--style", "plain", "--langs", "en", "--engine", "openai", "--base-url", chat.url, "--model", "small")
        code, said, err = cli("generate", "triplets", "--count", "16", *given, *place)
    assert code == 0, err
    assert json.loads(said)["languages"]["en"]["asked"] == 16
    out = tmp_path / "out"
    queries, corpus, qrels, negatives = (
        rows(out, f"en-{name}/*") for name in ("queries", "corpus", "qrels", "negatives")
    )
    lost = rows(out, "dropped/en-queries*")
    assert (len(queries) + len(lost), len(lost)) == (16, 1)
    assert lost[0]["lost_at"] == "leaked"
    ids = {one["query_id"] for one in queries}
    assert {one["doc_id"] for one in corpus} == {f"{one}-{end}" for one in ids for end in "pn"}
    assert {(one["query_id"], one["doc_id"]) for one in qrels} == {(one, f"{one}-p") for one in ids}
    assert {(one["query_id"], one["doc_id"]) for one in negatives} == {(one, f"{one}-n") for one in ids}
    texts = {one["doc_id"]: one["text"] for one in corpus}
    for one in queries:
        assert (texts[one["query_id"] + "-p"], texts[one["query_id"] + "-n"]) == (one["positive"], one["negative"])
        assert one["instruction"] == "Find it."
    assert cli("verify", str(out))[0] == 0
    card = (out / "README.md").read_text("utf-8")
    assert (
        "Queries with a positive and a hard negative document in English, generated by small in the style plain with dsbuild"
        in card
    )
    assert "prompt triplets/plain: version 3" in card
    assert "No source: every text is the model" in card
    code, said, err = cli("export", str(out), "--to", "st-triplet", "--out", str(tmp_path / "e"))
    assert code == 0, err
    close_models()
    code, said, err = cli("rebuild", str(out), "--store", str(tmp_path / "s"))
    assert code == 0, (said, err)
    code, _, err = cli("rebuild", str(out), "--store", str(tmp_path / "s"), "--src", "msmarco-sample")
    assert (code, "come from no source" in err) == (2, True)
    code, said, err = cli("explain", str(out), "--id", queries[0]["query_id"])
    assert code == 0, err
    code, _, err = cli(
        "release", str(out), "--name", "t", "--version", "1.0.0", "--license", "mit", "--out", str(tmp_path / "r")
    )
    assert code == 0, err
    assert cli("verify", str(tmp_path / "r" / "1.0.0"))[0] == 0


def test_how_many_of_what_is_asked_for(tmp_path: Path) -> None:
    base = ("--style", "plain", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--out", str(tmp_path / "o"),
            "--store", str(tmp_path / "s"))  # fmt: skip
    for given, words in (
        (("triplets", "--langs", "en"), "how many? Say --count N"),
        (("triplets", "--count", "3"), "in which languages? Say --langs"),
        (("triplets", "--count", "3", "--src", "msmarco-sample"), "--count is for styles that need no source"),
        (("sts", "--langs", "en"), "about which passages?"),
    ):
        code, _, err = cli("generate", *given, *base)
        assert (code, words in err) == (2, True), err


def test_pairs_have_a_table_of_their_own(tmp_path: Path) -> None:
    source = write(tmp_path / "set")

    def answer(data: dict[str, Any], body: Any) -> Any:
        found = re.match(r"The (\w+) of the (\w+)", data.get("passage", "The x of the y"))
        assert found
        a = f"People of the {found[2]} know the {found[1]} very well."
        return {"a": a, "b": a if found[1] == "rice" else f"The {found[1]} is known near the {found[2]}."}

    with ScriptedChat(answer) as chat:
        code, found, err = generate(tmp_path, source, chat.url, "--style", "plain", task="sts")
    assert code == 0, err
    out = tmp_path / "out"
    pairs = rows(out, "en-pairs/*")
    lost = rows(out, "dropped/en-pairs*")
    one = found["languages"]["en"]
    assert (one["asked"], one["nothing"], one["rows"]) == (24, 2, 22)
    assert len(pairs) + len(lost) == 22
    assert pairs
    assert {(row["lang_a"], row["lang_b"], row["score"], row["label"]) for row in pairs} == {("en", "en", 2.5, None)}
    assert {row["generator"] for row in pairs} == {"small"}
    assert not (out / "en-corpus").exists()
    assert cli("verify", str(out))[0] == 0
    assert "task_categories:\n- sentence-similarity" in (out / "README.md").read_text("utf-8")
