"""datatrove's filters on rows of a build, and dsbuild's filters inside a datatrove pipeline."""

from __future__ import annotations

import builtins
import json
import pickle
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName
from dsbuild.filters.datatrove_adapter import DatatroveFilter
from dsbuild.graph import Input, Node, Progress, units
from dsbuild.stage import Result, Workspace, parameters
from dsbuild.store import Store

C4 = "datatrove.pipeline.filters.c4_filters:C4QualityFilter"
REGEX = "datatrove.pipeline.filters:RegexFilter"

# Filters of its own, in a module that can be named.
MODULE = """
from datatrove.pipeline.filters.base_filter import BaseFilter


class Short(BaseFilter):
    name = "short"

    def __init__(self, least: int = 3, batch_size: int = 1, exclusion_writer=None):
        super().__init__(exclusion_writer, batch_size)
        self.least, self.batches = least, []

    def filter(self, doc):
        if "import" in doc.text:
            import no_such_package
        if "boom" in doc.text:
            raise ValueError(f"cannot read\\n{doc.text!r}")
        doc.metadata["seen"] = doc.metadata.get("seen", 0) + 1
        if doc.metadata.get("source") == "spam" or doc.metadata["seen"] > 1:
            return False
        return True if len(doc.text.split()) >= self.least else (False, "short_doc")

    def filter_batch(self, batch):
        return [self.filter(doc) for doc in batch]


class Broken(BaseFilter):
    def __init__(self):
        raise OSError("no model\\nhere")

    def filter(self, doc):
        return True


class TooFew(Short):
    def filter_batch(self, batch):
        return []


not_a_filter = 1
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_datatrove_filters.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_datatrove_filters", raising=False)
    return "own_datatrove_filters"


def table(texts: list[str], **columns: list[Any]) -> pa.Table:
    ids = [f"d{index}" for index in range(len(texts))]
    return pa.table({"doc_id": ids, "text": texts, "lang": ["en"] * len(texts), **columns})


def done(stage: DatatroveFilter, rows: pa.Table, tmp_path: Path) -> tuple[pa.Table, Result]:
    result = stage.run({"rows": rows}, Workspace("k", tmp_path, tmp_path))
    assert result.counts is not None
    assert result.counts.balanced()
    (shard,) = result.outputs["out"]
    return shard.table, result


def said(result: Result) -> list[tuple[str, str, str]]:
    return [(one["id"], one["outcome"], one["rule"]) for one in result.verdicts]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_rows_are_kept_dropped_and_failed(own: str, tmp_path: Path, batch_size: int) -> None:
    texts = ["one two three", "one", "boom boom boom", "a b c d", "x y z", "more than three words"]
    sources: list[str | None] = ["web", "web", "web", None, "spam", "web"]
    stage = DatatroveFilter(f"{own}:Short", {"least": 3, "batch_size": batch_size})
    out, result = done(stage, table(texts, source=sources), tmp_path)
    assert out["doc_id"].to_pylist() == ["d0", "d1", "d2", "d3", "d4", "d5"]
    assert out["fate"].to_pylist() == ["kept", "dropped", "failed", "kept", "dropped", "kept"]
    assert out["text"].to_pylist() == texts
    assert out["source"].to_pylist() == sources
    assert said(result) == [("d1", "dropped", "short_doc"), ("d2", "failed", "Short"), ("d4", "dropped", "Short")]
    detail = result.verdicts[1]["detail"]
    assert detail.startswith("ValueError: cannot read 'boom")
    assert "\n" not in detail
    assert (result.counts.n_in, result.counts.kept, result.counts.dropped, result.counts.failed) == (6, 3, 2, 1)


def test_rows_that_were_dropped_or_are_protected(own: str, tmp_path: Path) -> None:
    rows = table(
        ["one", "one two three", "one", "boom"],
        fate=["dropped", "kept", "kept", "kept"], flag=["", "old", "", ""], protected=[False, False, True, True],
    )  # fmt: skip
    out, result = done(DatatroveFilter(f"{own}:Short"), rows, tmp_path)
    assert out["fate"].to_pylist() == ["dropped", "kept", "kept", "kept"]
    assert out["flag"].to_pylist() == ["", "old", "short_doc", "Short"]
    assert said(result) == [("d2", "flagged", "short_doc"), ("d3", "flagged", "Short")]
    assert (result.counts.kept, result.counts.dropped) == (3, 1)
    assert out.column_names == rows.column_names


def test_a_filter_may_change_the_text(tmp_path: Path) -> None:
    good = "This line has four words and a stop.[12]"
    texts = [
        f"{good}\nMenu\nAnother line that ends well.",
        "Just one line stays.",
        "All of this lorem ipsum stays out.",
    ]
    out, result = done(DatatroveFilter(C4, {"min_num_sentences": -1}), table(texts), tmp_path)
    assert out["text"].to_pylist()[0] == "This line has four words and a stop.\nAnother line that ends well."
    assert out["fate"].to_pylist() == ["kept", "kept", "dropped"]
    assert said(result) == [("d0", "repaired", "C4QualityFilter"), ("d2", "dropped", "lorem_ipsum")]
    assert result.verdicts[0]["detail"] == "74 -> 65 characters"


def test_a_regex_filter_without_reasons_and_an_empty_table(tmp_path: Path) -> None:
    stage = DatatroveFilter(REGEX, {"regex_exp": "secret"})
    out, result = done(stage, table(["a secret", "open"]), tmp_path)
    assert out["fate"].to_pylist() == ["dropped", "kept"]
    assert said(result) == [("d0", "dropped", "RegexFilter")]
    out, result = done(stage, table(["x"]).slice(0, 0), tmp_path)
    assert out.num_rows == 0
    assert result.counts.n_in == 0


def test_the_unit_key_knows_filter_options_and_version(tmp_path: Path) -> None:
    def key(stage: DatatroveFilter) -> str:
        (unit,) = units(Node("f", stage, {"rows": Input("rows", how="all")}), progress)
        return unit.key

    progress = Progress(Store(tmp_path))
    progress.done["rows"] = []
    first = DatatroveFilter(REGEX, {"regex_exp": "a"})
    assert parameters(first)["options"] == {"regex_exp": "a"}
    assert parameters(first)["peer"]
    assert pickle.loads(pickle.dumps(first)) == first
    others = (
        DatatroveFilter(REGEX, {"regex_exp": "b"}),
        DatatroveFilter(C4),
        DatatroveFilter(REGEX, {"regex_exp": "a"}, peer="0"),
    )
    assert len({key(one) for one in (first, *others)}) == 4
    assert key(DatatroveFilter(REGEX, {"regex_exp": "a"})) == key(first)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"exclusion_writer": 1}, "no exclusion_writer"), ({"filter_function": len}, "must be JSON values")],
)
def test_options_that_cannot_be_described(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        DatatroveFilter(REGEX, options)


@pytest.mark.parametrize(
    ("target", "options", "error", "message"),
    [
        (
            "datatrove.pipeline.filters:NoSuch",
            {},
            RecipeError,
            "no datatrove filter 'datatrove.pipeline.filters:NoSuch'",
        ),
        ("no_such_module:X", {}, RecipeError, "write module:Class"),
        ("", {}, RecipeError, "write module:Class"),
        ("own_datatrove_filters:not_a_filter", {}, RecipeError, "is not a filter of datatrove"),
        ("json:JSONDecoder", {}, RecipeError, "is not a filter of datatrove"),
        ("own_datatrove_filters:Short", {"lest": 3}, RecipeError, "its options: least, batch_size$"),
        ("own_datatrove_filters:Broken", {}, EngineError, "cannot be made: OSError: no model here$"),
        ("own_datatrove_filters:TooFew", {}, EngineError, "0 answers to 1 documents"),
    ],
)
def test_filters_that_cannot_be_used(
    own: str, tmp_path: Path, target: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        done(DatatroveFilter(target, options), table(["a b c"]), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_filter_that_raises_everywhere_ends_the_run(own: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="raises at every row, such as documents d0: ValueError"):
        done(DatatroveFilter(f"{own}:Short"), table(["boom", "boom"]), tmp_path)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_filter_that_lacks_a_package_ends_the_run(own: str, tmp_path: Path, batch_size: int) -> None:
    with pytest.raises(EngineError, match="Short: ModuleNotFoundError: No module named 'no_such_package'$"):
        done(DatatroveFilter(f"{own}:Short", {"batch_size": batch_size}), table(["a b c", "import this"]), tmp_path)


def test_without_datatrove(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "datatrove":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(sys.modules, "dsbuild.filters.datatrove_step", raising=False)
    with pytest.raises(MissingExtra, match=r"dsbuild\[scale\]"):
        DatatroveFilter(REGEX, {"regex_exp": "a"}).open()
    with pytest.raises(MissingExtra, match=r"dsbuild\[scale\]"):
        import dsbuild.filters.datatrove_step  # noqa: F401


# dsbuild's filters inside a pipeline

GOOD = "The people of the town went to the river with their boats, and they have not come back to it since that day."
DOCS = [
    {"id": "good", "text": GOOD, "metadata": {"language": "eng_Latn"}},
    {"id": "empty", "text": "!!", "metadata": {"language": "en"}},
    {"id": "digits", "text": "12345678901234567890 " * 4 + "and of the", "metadata": {"language": "xx"}},
    {"id": "hindi", "text": "यह शहर के लोगों की कहानी है और वे नदी के पास अपनी नावों के साथ गए थे।", "metadata": {"language": "hin_Deva"}},
    {"id": "broken", "text": "half \ud800 a character of the text that stands here in the middle", "metadata": {}},
]  # fmt: skip


def documents() -> list[Any]:
    from datatrove.data import Document

    return [Document(one["text"], one["id"], metadata=dict(one["metadata"])) for one in DOCS]  # type: ignore[arg-type, call-overload]


def step(**options: Any) -> Any:
    from dsbuild.filters.datatrove_step import DsbuildFilter

    return DsbuildFilter(**{"profile": "sentence", "lang": "", "filters": ["length"], **options})


def test_scores_and_failed_rules_are_in_the_metadata() -> None:
    batch = documents()
    assert step().filter_batch(batch) == [True, (False, "length.too_short"), (False, "length.few_letters"), True, True]
    assert [one.metadata["lang"] for one in batch] == ["en", "en", "und", "hi", "und"]
    for one in batch:
        letters = sum(letter.isalpha() or letter in "ािीेंैो्ौूँ़" for letter in one.text)
        assert one.metadata["length_letters"] == letters
    assert batch[0].metadata["failed_rules"] == []
    rules = batch[2].metadata["failed_rules"]
    assert [one["rule"] for one in rules] == ["length.few_letters", "length.many_digits"]
    assert rules[-1]["threshold"] == 0.5
    assert rules[-1]["value"] == pytest.approx(80 / 88)
    assert batch[4].text == DOCS[4]["text"]


def test_batches_and_single_documents_agree() -> None:
    together = documents()
    answers = step().filter_batch(together)
    alone = documents()
    assert [step().filter(one) for one in alone] == answers
    assert [one.metadata for one in alone] == [one.metadata for one in together]
    assert step().filter_batch([]) == []


def test_settings_and_languages() -> None:
    batch = documents()
    assert step(settings={"length": {"min_letters": 90}}).filter_batch(batch[:1]) == [(False, "length.too_short")]
    assert batch[0].metadata["failed_rules"][0]["source"] == "user"
    batch = documents()
    step(lang="auto", filters=["language"]).filter_batch(batch)
    assert [batch[index].metadata["lang"] for index in (0, 1, 3)] == ["en", "und", "hi"]
    assert "language_score" in batch[0].metadata
    step(lang="HI", filters=["length"]).filter_batch(batch)
    assert {one.metadata["lang"] for one in batch} == {"hi"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"profile": "documnt"}, UnknownName, "Did you mean 'document'"),
        ({"profile": "pair", "filters": None}, RecipeError, "a datatrove document has one text"),
        ({"filters": ["lenght"]}, UnknownName, "Did you mean 'length'"),
        ({"filters": ["length", "neardup"]}, RecipeError, "neardup looks at a whole table"),
        ({"filters": ["pairs"]}, RecipeError, "pairs needs more than one text"),
        ({"filters": ["external"]}, RecipeError, "external needs more than one text"),
        ({"profile": "triple", "filters": None}, RecipeError, "entailment needs more than one text"),
        ({"settings": {"gopher": {"min_words": 1}}}, RecipeError, "gopher: set, but not among the filters"),
        ({"settings": {"length": {"min_leters": 1}}}, UnknownName, "Did you mean 'length.min_letters'"),
        ({"settings": {"length": {"min_letters": "many"}}}, RecipeError, "a threshold is a number"),
        ({"lang": "hin"}, UnknownName, "Did you mean"),
        ({"thresholds": "no/such/file"}, RecipeError, "neither default, fineweb2 nor a file"),
    ],
)
def test_a_step_that_cannot_be_made(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        step(**options)


def test_the_profile_without_what_needs_the_whole_table() -> None:
    # Groups that one class serves are scored in one pass.
    whole = step(filters=None, profile="document", settings={"gopher": {"min_words": 30}})
    assert {"gopher", "repetition", "fineweb"} <= set(whole.rules.groups)
    assert any({"gopher", "repetition"} <= set(served.split("+")) for served in whole.scores.scorers)
    assert whole.rules.settings == {"gopher": {"min_words": 30}}
    found = step(filters=None, profile="query")
    assert "exact" not in found.rules.groups
    assert "length" in found.rules.groups


def test_in_a_pipeline_with_an_exclusion_writer(tmp_path: Path) -> None:
    from datatrove.data import Document
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.writers.disk_base import DiskWriter

    class Lines(DiskWriter):  # datatrove's own needs orjson
        default_output_filename = "${rank}.jsonl"
        name = "lines"

        def _write(self, document: dict[str, Any], file_handler: Any, _filename: str) -> None:
            file_handler.write(json.dumps(document, ensure_ascii=False) + "\n")

    def read_lines(data: Any, rank: int, world_size: int) -> Any:
        for path in sorted((tmp_path / "in").glob("*.jsonl"))[rank::world_size]:
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                yield Document(row["text"], row["id"], metadata={"language": "en"})

    sentences = [DOCS[index % 4]["text"] for index in range(40)]
    ids = [f"r{index}" for index in range(40)]
    (tmp_path / "in").mkdir()
    for part in (slice(0, 20), slice(20, 40)):
        lines = [json.dumps({"id": one, "text": text}) for one, text in zip(ids[part], sentences[part], strict=True)]
        (tmp_path / "in" / f"{part.start}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    # A step travels to its workers pickled.
    made = pickle.loads(pickle.dumps(step(batch_size=7)))
    made.exclusion_writer = Lines(str(tmp_path / "out" / "removed"), compression=None)
    kept_writer = Lines(str(tmp_path / "out" / "kept"), compression=None)
    LocalPipelineExecutor([read_lines, made, kept_writer], tasks=2, workers=1, logging_dir=str(tmp_path / "logs")).run()

    def read(name: str) -> list[dict[str, Any]]:
        files = sorted((tmp_path / "out" / name).glob("*.jsonl"))
        return [json.loads(line) for path in files for line in path.read_text("utf-8").splitlines()]

    kept, removed = read("kept"), read("removed")
    # Counted here without dsbuild: the sentences with hardly a letter, and those that are nearly all digits.
    bad = Counter(
        "length.too_short" if text == "!!" else "length.few_letters"
        for text in sentences
        if text == "!!" or text[0].isdigit()
    )
    assert Counter(one["metadata"]["filter_reason"] for one in removed) == bad
    assert sum(bad.values()) == 20
    assert sorted(one["id"] for one in kept + removed) == sorted(ids)
    assert all(one["metadata"]["failed_rules"] for one in removed)
    assert all(one["metadata"]["length_letters"] > 20 for one in kept)
    stats = json.loads((tmp_path / "logs" / "stats.json").read_text("utf-8"))
    (own,) = [one["stats"] for one in stats if "dsbuild" in one["name"]]
    wanted = {
        "total": 40,
        "forwarded": 20,
        "dropped": 20,
        "dropped_length.too_short": 10,
        "dropped_length.few_letters": 10,
    }
    assert {name: own[name] for name in wanted} == wanted
