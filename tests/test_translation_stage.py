"""The translation stage: batches, memory, journal, retry ladder, fallback; with engines that do as the test says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError
from dsbuild.stage import Workspace, parameters
from dsbuild.translate import ENGINES
from dsbuild.translate.engines import close_engines
from dsbuild.translate.find_examples import EXAMPLES
from dsbuild.translate.translation import RUNG_FAILED, TRANSLATED, EngineChoice, TranslateSegments
from dsbuild.translate.unique import UNIQUE

HARD = "dsbuild.filters.bitext:hard_failures"


class Talker:
    """Says Hindi for whatever it is asked, and notes what it was asked. Words of the text make it misbehave.

    voice: part of what it says and of its fingerprint; dumb: texts with this word fail; stop_after: batches until it breaks.
    """

    name: ClassVar[str] = "talker"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_tokens=12, placeholder="[{n}]", protects=("url",), beams=(4,), batch_tokens=20, scores=True
    )
    asked: ClassVar[list[list[str]]] = []
    stop_after: ClassVar[int] = 1_000

    def __init__(self, voice: str = "पहाड़", dumb: str = "") -> None:
        self.voice, self.dumb = voice, dumb

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        return {"engine": self.name, "voice": self.voice, "dumb": self.dumb}

    def terms(self) -> Terms:
        return Terms("MIT")

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Every direction."""

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        return [len(text.split()) for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        for number in reversed(range(len(batches))):
            if len(Talker.asked) >= Talker.stop_after:
                raise EngineError("talker: broken")
            Talker.asked.append([request.text for request in batches[number]])
            yield number, [self._say(request) for request in batches[number]]

    def _say(self, request: Request) -> Output:
        words = request.text.split()
        if self.dumb and self.dumb in words:
            return Output("", "error", error="dumb: said nothing")
        if "long" in words:
            return Output("नदी", "length", n_src_tokens=len(words), n_tgt_tokens=1)
        if "blank" in words and request.beam is None:
            return Output("", n_src_tokens=len(words))
        if "lose" in words:
            return Output(f"यह {self.voice} से आता है", score=-1.0, n_src_tokens=len(words), n_tgt_tokens=4)
        kept = " ".join(word for word in words if word.startswith(("[", "http")) or word.isdigit())
        return Output(
            f"यह {self.voice} से {kept} आता है".replace("  ", " "), score=-0.5, n_src_tokens=len(words), n_tgt_tokens=5
        )

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def talker(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Talker]]:
    monkeypatch.setitem(ENGINES._table, "talker", f"{__name__}:Talker")
    monkeypatch.setattr("dsbuild.translate.ENGINES.get", lambda name: Talker)
    monkeypatch.setattr(Talker, "asked", [])
    yield Talker
    close_engines()


def run(
    folder: Path, texts: Sequence[str], key: str = "k", engine: dict[str, Any] | None = None, **more: Any
) -> pa.Table:
    stage = TranslateSegments("en", "hi", EngineChoice("talker", engine or {}), HARD, **more)
    segments = pa.table([list(range(len(texts))), list(texts), [False] * len(texts)], schema=UNIQUE)
    folder.mkdir(exist_ok=True)
    result = stage.run({"segments": segments}, Workspace(key, folder, folder))
    (shard,) = result.outputs["out"]
    assert shard.table.schema == TRANSLATED
    assert shard.table["uid"].to_pylist() == list(range(len(texts)))
    table: pa.Table = shard.table.append_column("remembered", pa.array([result.measured["remembered"]] * len(texts)))
    return table


TEXTS = [f"this is the hill number {number}" for number in range(10)]


def test_every_segment_in_its_place(tmp_path: Path) -> None:
    out = run(tmp_path, TEXTS)
    assert out["text"].to_pylist() == [f"यह पहाड़ से {number} आता है" for number in range(10)]
    assert set(out["failure"].to_pylist()) == {""}
    assert set(out["logprob"].to_pylist()) == {-0.5}
    assert set(out["rung"].to_pylist()) == {0}


def test_batches_are_longest_first_within_the_budget(tmp_path: Path) -> None:
    texts = ["a b c d", "a b c d e f g h", "a b", "a b c d e f", "a c"]
    run(tmp_path, texts)
    assert sorted(map(len, Talker.asked)) == [2, 3]
    first, second = sorted(Talker.asked, key=lambda batch: -len(batch[0].split()))
    assert first == ["a b c d e f g h", "a b c d e f"]
    assert second == ["a b c d", "a b", "a c"]
    Talker.asked.clear()
    run(tmp_path / "small", texts, batch_tokens=8)
    assert all(len(batch) * max(len(text.split()) for text in batch) <= 8 for batch in Talker.asked)


def test_no_segments(tmp_path: Path) -> None:
    assert run(tmp_path, []).num_rows == 0
    assert Talker.asked == []


def test_what_was_said_once_is_remembered(tmp_path: Path) -> None:
    first = run(tmp_path, TEXTS[:6], "one")
    Talker.asked.clear()
    out = run(tmp_path, TEXTS, "two")
    assert sorted(text for batch in Talker.asked for text in batch) == TEXTS[6:]
    assert out["remembered"][0].as_py() == 6
    assert out.slice(0, 6)["text"] == first["text"]
    Talker.asked.clear()
    assert run(tmp_path, TEXTS[:2], "three", {"voice": "तारा"})["text"][0].as_py() == "यह तारा से 0 आता है"
    assert Talker.asked, "another fingerprint remembers nothing of this one"
    Talker.asked.clear()
    run(tmp_path, TEXTS[:2], "four", terms={"hill": "टीला"})
    assert Talker.asked, "nor do other terms"


def test_a_broken_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole", TEXTS)
    n_batches = len(Talker.asked)
    for after in range(n_batches):
        folder = tmp_path / f"broken-{after}"
        Talker.asked.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Talker, "stop_after", after)
            with pytest.raises(EngineError, match="broken"):
                run(folder, TEXTS)
        Talker.asked.clear()
        assert run(folder, TEXTS)["text"] == whole["text"]
        assert len(Talker.asked) == n_batches - after, "a finished batch is not asked for again"


def test_a_torn_journal_costs_one_batch(tmp_path: Path) -> None:
    whole = run(tmp_path, TEXTS)
    n_batches = len(Talker.asked)
    (journal,) = tmp_path.glob("*.work/journal")
    journal.write_bytes(journal.read_bytes()[:-7])
    Talker.asked.clear()
    assert run(tmp_path, TEXTS)["text"] == whole["text"]
    assert len(Talker.asked) == 1 < n_batches


def test_hard_failures_climb_the_ladder(tmp_path: Path) -> None:
    texts = [
        "a blank line of words",
        "the long story of a hill",
        "see https://a.example/b here",
        "see https://a.example/b and lose it",
    ]
    out = run(tmp_path, texts).to_pylist()
    assert [(row["failure"], row["rung"]) for row in out[:3]] == [("", 1), ("length", RUNG_FAILED), ("", 0)]
    assert out[2]["text"] == "यह पहाड़ से https://a.example/b आता है"
    assert (out[3]["failure"], out[3]["rung"]) == ("", 2), "split around the address, which is copied"
    assert "https://a.example/b" in out[3]["text"]


def test_a_text_over_the_limit_is_split_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    text = " ".join(str(number) for number in range(100, 140)) + " words"
    out = run(tmp_path, [text]).to_pylist()
    assert all(len(asked.split()) <= 12 for batch in Talker.asked for asked in batch)
    assert [word for word in out[0]["text"].split() if word.isdigit()] == [str(number) for number in range(100, 140)]


def test_terms_are_written_as_the_glossary_says(tmp_path: Path) -> None:
    out = run(tmp_path, ["the hill is far", "a river is near"], terms={"hill": "टीला"}).to_pylist()
    assert "टीला" in out[0]["text"]
    assert [row["terms_missing"] for row in out] == [0, 0]


@pytest.mark.parametrize("known", [0, 4])
def test_a_fallback_of_the_same_engine_with_another_model(tmp_path: Path, known: int) -> None:
    """Even if the first model's memory knows some of the texts, and both are asked for the very same batch."""
    texts = [*TEXTS[:4], "one dumb hill", "two dumb rivers"] if known else ["one dumb hill", "two dumb rivers"]
    first = {"dumb": "dumb"}
    if known:
        run(tmp_path, texts[:known], "before", first)
    out = run(tmp_path, texts, "now", first, fallback=EngineChoice("talker", {"voice": "तारा"})).to_pylist()
    assert [row["failure"] for row in out] == [""] * len(texts)
    assert [row["text"] for row in out] == [
        *(f"यह पहाड़ से {number} आता है" for number in range(known)),
        "यह तारा से आता है",
        "यह तारा से आता है",
    ]
    assert [row["rung"] for row in out] == [*[0] * known, 4, 4], "the fallback's rungs come after the engine's own"
    again = run(tmp_path, texts[-1:], "later", {"voice": "तारा"}).to_pylist()
    assert (again[0]["remembered"], again[0]["rung"]) == (1, 0), "a memory counts its engine's rungs only"


def test_only_what_the_engine_says_now_is_measured(tmp_path: Path) -> None:
    run(tmp_path, TEXTS[:4], "before")
    stage = TranslateSegments("en", "hi", EngineChoice("talker"), HARD)
    segments = pa.table([[0, 1, 2], [TEXTS[0], TEXTS[5], "the long hill"], [False] * 3], schema=UNIQUE)
    measured = stage.run({"segments": segments}, Workspace("now", tmp_path, tmp_path)).measured
    assert (measured["remembered"], measured["tgt_tokens"], measured["src_tokens"]) == (1, 5 + 1, 6 + 3)


def test_what_every_engine_fails_says_why(tmp_path: Path) -> None:
    out = run(
        tmp_path,
        ["one dumb hill", "one hill"],
        engine={"dumb": "dumb"},
        fallback=EngineChoice("talker", {"dumb": "dumb", "voice": "तारा"}),
    ).to_pylist()
    assert [row["failure"] for row in out] == ["engine_error: dumb: said nothing", ""]
    assert [row["rung"] for row in out] == [RUNG_FAILED, 0]


def test_options_of_an_engine_do_not_enter_keys() -> None:
    """Its fingerprint does: a model that lies elsewhere is the same model."""
    keys = [
        parameters(
            TranslateSegments(
                "en",
                "hi",
                EngineChoice("talker", {"voice": voice}),
                HARD,
                fallback=EngineChoice("talker", {"voice": voice}),
            )
        )
        for voice in ("a", "b")
    ]
    assert keys[0] == keys[1]
    assert keys[0]["engine"] == {"name": "talker"}


class Reader(Talker):
    """Reads what it is told beside the text: it leaves out a fixed term until it is named again, and one always."""

    name: ClassVar[str] = "reader"
    capabilities: ClassVar[Capabilities] = Capabilities(
        placeholder="<ID{n}>", terms=True, examples=True, batch_tokens=1
    )
    contexts: ClassVar[list[dict[str, Any]]] = []

    def _say(self, request: Request) -> Output:
        Reader.contexts.append(dict(request.context))
        told = " ".join(term for term in request.context.get("missing", ()) if term != "नाव")
        return Output(f"यह पहाड़ से {told} आता है", n_src_tokens=4, n_tgt_tokens=5)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> type[Reader]:
    monkeypatch.setattr("dsbuild.translate.ENGINES.get", lambda name: Reader)
    monkeypatch.setattr(Reader, "contexts", [])
    return Reader


def test_terms_that_were_left_out_are_named_once_more_and_what_is_still_missing_is_counted(
    tmp_path: Path, reader: type[Reader]
) -> None:
    terms = {"river": "नदी", "boat": "नाव"}
    out = run(tmp_path, ["the river here", "the river and the boat", "the hill"], terms=terms)
    assert out["terms_missing"].to_pylist() == [0, 1, 0]
    assert ["नदी" in text for text in out["text"].to_pylist()] == [True, True, False]
    assert out["rung"].to_pylist() == [0, 0, 0]
    assert [context.get("missing") for context in reader.contexts if "missing" in context] in (
        [["नदी"], ["नदी", "नाव"]], [["नदी", "नाव"], ["नदी"]],
    )  # fmt: skip
    assert len(reader.contexts) == 5, "nobody is asked a third time"
    again = run(tmp_path, ["the river and the boat"], key="later", terms=terms)
    assert (again["terms_missing"].to_pylist(), len(reader.contexts)) == ([1], 5)


def test_examples_are_shown_counted_and_part_of_what_a_translation_is_remembered_under(
    tmp_path: Path, reader: type[Reader]
) -> None:
    def ask(key: str, some: list[list[dict[str, Any]]]) -> pa.Table:
        stage = TranslateSegments("en", "hi", EngineChoice("reader", {}), HARD)
        segments = pa.table([[0, 1], ["the hill", "a lake"], [False] * 2], schema=UNIQUE)
        examples = pa.table([[0, 1], some], schema=EXAMPLES)
        result = stage.run({"segments": segments, "examples": examples}, Workspace(key, tmp_path, tmp_path))
        (shard,) = result.outputs["out"]
        return shard.table

    near = {"source": "the hills", "target": "पहाड़", "score": 0.5}
    nearer = {"source": "the high hill", "target": "ऊँचा पहाड़", "score": 2 / 3}
    out = ask("first", [[nearer, near], []])
    assert out["n_examples"].to_pylist() == [2, 0]
    assert out["example_score"].to_pylist() == [2 / 3, None]
    shown = [context["examples"] for context in reader.contexts if context]
    assert shown == [[["the hills", "पहाड़"], ["the high hill", "ऊँचा पहाड़"]]], "the nearest stands last"
    assert len(reader.contexts) == 2
    ask("the same", [[nearer, near], []])
    assert len(reader.contexts) == 2
    ask("others", [[near], []])
    assert len(reader.contexts) == 3
