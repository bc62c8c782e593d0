"""The memory engine: what it reads, finds, reports missing and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.engine import Request
from dsbuild.errors import EngineError, UnknownName
from dsbuild.translate.memory import MemoryEngine, read_pairs

PAIRS = [("Rain falls.", "पाऊस पडतो."), ("The hill is green.", "टेकडी हिरवी आहे.")]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"memory.{kind}"
    if kind == "tsv":
        path.write_text("en\tmr\n" + "".join(f"{en}\t{mr}\n" for en, mr in PAIRS), "utf-8")
    elif kind == "jsonl":
        path.write_text(
            "".join(json.dumps({"src": en, "tgt": mr, "src_lang": "en", "tgt_lang": "mr"}) + "\n" for en, mr in PAIRS),
            "utf-8",
        )
    elif kind == "parquet":
        pq.write_table(pa.table({"en": [en for en, _ in PAIRS], "mr": [mr for _, mr in PAIRS], "n": [1, 2]}), path)
    else:
        units = "".join(
            f'<tu><tuv xml:lang="en-GB"><seg>{en}</seg></tuv><tuv xml:lang="mr"><seg>{mr[:3]}<hi>{mr[3:]}</hi></seg></tuv></tu>'
            for en, mr in PAIRS
        )
        path.write_text(f'<?xml version="1.0"?><tmx version="1.4"><header/><body>{units}</body></tmx>', "utf-8")
    return path


def ask(engine: MemoryEngine, *texts: str, tgt: str = "mr") -> list:
    answers = dict(engine.translate_batches([[Request(text, "en", tgt)] for text in texts]))
    return [answers[number][0] for number in range(len(texts))]


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet", "tmx"])
def test_every_format_says_the_same(tmp_path: Path, kind: str) -> None:
    engine = MemoryEngine(write(tmp_path, kind))
    engine.check("en", ["mr"])
    found = ask(engine, "Rain falls.", "  Rain\u00a0 falls. ", "Snow falls.")
    assert [one.text for one in found] == ["पाऊस पडतो.", "पाऊस पडतो.", ""]
    assert [(one.finish, one.error) for one in found] == [
        ("stop", ""),
        ("stop", ""),
        ("error", "missing: not in the file"),
    ]
    assert (found[0].n_src_tokens, found[0].n_tgt_tokens, found[0].score) == (2, 2, None)
    engine.close()
    engine.close()


@pytest.mark.parametrize(
    ("said", "code"), [("EN", "en"), ("EN-US", "en"), ("zh-CN", "zh-Hans"), ("zh-tw", "zh-Hant"), ("no", "nb"), ("es-419", "es")]
)  # fmt: skip
def test_codes_of_a_tmx_are_read_as_dsbuild_spells_them(tmp_path: Path, said: str, code: str) -> None:
    path = tmp_path / "m.tmx"
    path.write_text(
        f'<tmx><body><tu><tuv xml:lang="MR"><seg>a</seg></tuv><tuv xml:lang="{said}"><seg>b</seg></tuv></tu></body></tmx>'
    )
    assert next(read_pairs(path)) == ("mr", code, "a", "b")


def test_old_codes_of_a_table_are_read_as_dsbuild_spells_them(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("EN\tno\tnote\nRain.\tRegn.\tx\n", "utf-8")
    engine = MemoryEngine(path)
    engine.check("en", ["nb"])
    assert ask(engine, "Rain.", tgt="nb")[0].text == "Regn."
    engine.close()


def test_a_table_of_pairs_is_read_in_both_directions(tmp_path: Path) -> None:
    rows = [
        {"pair_id": str(n), "text_a": en, "text_b": mr, "lang_a": "en", "lang_b": "mr", "score": 1.0}
        for n, (en, mr) in enumerate(PAIRS)
    ]
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist([*rows, {**rows[0], "text_b": None}]), path)
    found = list(read_pairs(path))
    assert found == [pair for en, mr in PAIRS for pair in (("en", "mr", en, mr), ("mr", "en", mr, en))]
    pq.write_table(pa.Table.from_pylist([{**rows[0], "lang_b": None}]), path)
    with pytest.raises(EngineError, match=r"pairs.parquet:1: a pair without its languages"):
        list(read_pairs(path))


def test_the_first_translation_counts_and_both_directions_are_there(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("en\tmr\thi\nRain.\tपाऊस.\tबारिश।\nRain.\tपाणी.\t\n", "utf-8")
    engine = MemoryEngine(path)
    assert ask(engine, "Rain.")[0].text == "पाऊस."
    engine.check("mr", ["en", "hi"])
    with pytest.raises(EngineError, match="no pair en -> ta; it has en -> hi, en -> mr"):
        engine.check("en", ["ta"])
    engine.close()


def test_texts_match_whatever_their_normal_form(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("en\thi\ncafe\u0301 time\tकॉफ़ी का समय\n", "utf-8")
    engine = MemoryEngine(path)
    assert ask(engine, "caf\u00e9  time", tgt="hi")[0].text == "कॉफ़ी का समय"
    engine.close()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.tsv", "text\n", "m.tsv:1: the first line names the columns"),
        ("m.tsv", "en\tmr\nRain.\tपाऊस.\tmore\n", "m.tsv:2: 3 columns where the header has 2"),
        ("m.jsonl", '{"en": "a", "mr": "b"}\n[1]\n', "m.jsonl:2: each line is an object"),
        ("m.jsonl", "{en}\n", "m.jsonl:1: not JSON"),
        ("m.jsonl", '{"src": "a", "tgt": "b"}\n', "m.jsonl:1: columns src and tgt need src_lang and tgt_lang"),
        ("m.tmx", "<tmx><body><tu>", "m.tmx: not TMX"),
        ("m.tsv", b"en\tmr\nRain\xff\tx\n", "m.tsv"),
        ("m.parquet", "text", "m.parquet"),
    ],
)  # fmt: skip
def test_files_that_are_wrong_are_named(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EngineError) as caught:
        list(read_pairs(tmp_path / name))
    assert said in str(caught.value)


def test_what_is_not_there_or_unknown(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such file"):
        MemoryEngine(tmp_path / "m.tsv")
    (tmp_path / "m.csv").write_text("en,mr\n")
    with pytest.raises(UnknownName, match=r"no translation file type '.csv'. Did you mean '.tsv'"):
        MemoryEngine(tmp_path / "m.csv").check("en", ["mr"])


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    first, second = write(tmp_path, "tsv"), tmp_path / "other.tsv"
    second.write_bytes(first.read_bytes())
    assert MemoryEngine(first).fingerprint() == MemoryEngine(second).fingerprint()
    second.write_text("en\tmr\na\tb\n")
    assert MemoryEngine(first).fingerprint() != MemoryEngine(second).fingerprint()
    assert MemoryEngine(first).terms().license == "unknown"
    assert MemoryEngine(first, license="CC0").terms().note == ""


def test_who_translated_is_told_and_changes_no_key(tmp_path: Path) -> None:
    path = write(tmp_path, "tsv")
    assert MemoryEngine(path).terms().origin == ""
    human = MemoryEngine(path, origin="human")
    assert human.terms().origin == "human"
    assert human.fingerprint() == MemoryEngine(path).fingerprint()
    with pytest.raises(UnknownName, match="no origin 'humans'"):
        MemoryEngine(path, origin="humans")  # type: ignore[arg-type]


WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\t\r\n\0", exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=12,
).filter(str.strip)


@given(st.dictionaries(WORDS, WORDS, min_size=1, max_size=5))
def test_what_was_written_is_found(tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("m") / "m.tsv"
    path.write_text(
        "en\thi\n" + "".join(f"{source}\t{target}\n" for source, target in pairs.items()), "utf-8", newline="\n"
    )
    engine = MemoryEngine(path)
    assert all(one.finish == "stop" and one.text in pairs.values() for one in ask(engine, *pairs, tgt="hi"))
    engine.close()
