"""The whole command with engines that carry placeholders: fallback, glossary, addresses, Apertium."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from dsbuild.engine import Capabilities, Output, Terms
from dsbuild.translate import ENGINES
from tests.small_set import CAFE, RIVER, WOOL, cli, make, rows, said, write_memory, write_set


def test_a_fallback_engine_is_tried_for_what_fails(tmp_path: Path) -> None:
    first = write_memory(tmp_path / "memory.tsv", missing={"hi": [RIVER, CAFE]})
    second = write_memory(
        tmp_path / "second.tsv",
        changed={(RIVER, "hi"): "नदी पहाड़ों से निकलती है और पूरब को बहती है।"},
        missing={"hi": [CAFE]},
    )
    built = make(
        tmp_path, write_set(tmp_path / "set"), first, ("hi",), fallback__name="memory", fallback__file=str(second)
    )
    assert built.summary["languages"]["hi"]["reasons"] == {"missing": 1}
    texts = {row["doc_id"]: row["text"] for row in rows(tmp_path / "out", "hi-corpus/*")}
    assert texts["d8"].startswith("नदी पहाड़ों से")
    assert texts["d9"] == said(WOOL, "hi")
    assert set(built.manifest["engines"]) == {"memory", "fallback memory"}
    verdicts = [row for row in rows(tmp_path / "out", "dropped/verdicts*") if row["id"] == "d8"]
    assert [(row["outcome"], row["rule"], row["value"]) for row in verdicts] == [("repaired", "retried", 4.0)]


class Rewriter:
    """An engine that carries placeholders: it says the memory's Spanish, a placeholder in the place of each item."""

    name = "rewriter"
    capabilities = Capabilities(placeholder="<x{n}>", protects=("url",), batch_tokens=64)

    def __init__(self, forget: str = "") -> None:
        self.forget = forget

    def fingerprint(self) -> dict[str, Any]:
        return {"engine": self.name, "forget": self.forget}

    def terms(self) -> Terms:
        return Terms("MIT")

    def check(self, src: str, tgts: Any) -> None: ...

    def count_tokens(self, texts: Any, src: str) -> list[int]:
        return [len(text.split()) for text in texts]

    def translate_batches(self, batches: Any) -> Any:
        for number, batch in enumerate(batches):
            yield number, [Output(self._say(request.text), n_src_tokens=4, n_tgt_tokens=4) for request in batch]

    def _say(self, text: str) -> str:
        found = re.findall(r"<x\d+>|https?\S+", text)
        body = " ".join(item for item in found if not self.forget or item.startswith("http"))
        return f"la casa de {body} está cerca del río" if text.islower() else f"La casa de {body} está cerca del río."

    def close(self) -> None: ...


@pytest.fixture
def rewriter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES._table, "rewriter", f"{__name__}:Rewriter")


def test_glossary_and_addresses_come_back(rewriter: None, tmp_path: Path) -> None:
    glossary = tmp_path / "terms.tsv"
    glossary.write_text("# fixed terms\nAda\nriver bank\torilla\tes\n", "utf-8")
    docs = [
        ("d1", "", "The house of Ada at https://ada.example/x?y=1 is near the river bank."),
        ("d2", "", "The house of Bob is near."),
    ]
    source = write_set(tmp_path / "set", docs, {"q1": "where is the house of Ada"}, {"test": [("q1", "d1", 1)]})
    arguments = [
        "translate",
        "--src",
        f"beir:{source}",
        "--src-lang",
        "en",
        "--langs",
        "es",
        "--engine",
        "rewriter",
        "--store",
        tmp_path / "store",
    ]
    code, _, err = cli(*arguments, "--out", tmp_path / "out", "--glossary", glossary)
    assert code == 0, err
    kept = {row["doc_id"]: row for row in rows(tmp_path / "out", "es-corpus/*")}
    assert kept["d1"]["text"] == "La casa de Ada https://ada.example/x?y=1 orilla está cerca del río."
    assert kept["d1"]["terms_missing"] == 0
    code, _, err = cli(*arguments, "--out", tmp_path / "out2", "--glossary", glossary, "--set", "engine.forget=yes")
    assert code == 0, err
    verdicts = rows(tmp_path / "out2", "dropped/verdicts*")
    assert any(row["id"] == "d1" and row["outcome"] in ("repaired", "flagged", "failed") for row in verdicts), (
        "a lost item is never silent"
    )


def test_apertium_carries_terms(tmp_path: Path) -> None:
    if not shutil.which("apertium"):
        pytest.skip("needs apertium and apertium-eng-spa")
    glossary = tmp_path / "terms.tsv"
    glossary.write_text("house\thogar\tes\n", "utf-8")
    docs = [
        ("d1", "", "The old house stands near the river. See https://a.example/b for a map."),
        ("d2", "", "The children drink water."),
    ]
    source = write_set(tmp_path / "set", docs, {"q1": "where is the house"}, {"test": [("q1", "d1", 1)]})
    arguments = [
        "translate",
        "--src",
        f"beir:{source}",
        "--src-lang",
        "en",
        "--langs",
        "es",
        "--engine",
        "apertium",
        "--store",
        tmp_path / "store",
    ]
    code, out, err = cli(*arguments, "--out", tmp_path / "out", "--glossary", glossary, "--format", "json")
    if "no installed mode" in err:
        pytest.skip("needs apertium-eng-spa")
    assert code == 0, err
    text = next(row["text"] for row in rows(tmp_path / "out", "es-corpus/*") if row["doc_id"] == "d1")
    assert "hogar" in text
    assert "https://a.example/b" in text
    assert json.loads(out)["languages"]["es"]["kept"] == 3
