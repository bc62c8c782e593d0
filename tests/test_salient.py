"""Queries without a model: what stands in them, how passages end, and the command that makes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dsbuild.builders.generation.salient import MakeSalient, open_style
from dsbuild.builders.generation.salient_phrases import Frequencies, Phrases
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.stage import Workspace
from tests.small_set import DOCS, cli, rows

ENGLISH = (
    ("lamp", "The lamp of the old harbour burns every night. Sailors see its green light from twenty miles away."),
    ("bread", "Rye bread keeps for a week. Bakers in the mountains bake it twice, and it is hard and dark."),
    ("well", "The well of the village is deep. In a dry summer its cold water feeds three gardens."),
    ("number", "1987. 12, 13, 14."),
)
OTHERS = {
    "hi": "बरगद की जड़ें शाखाओं से नीचे आती हैं। पुराना पेड़ छोटे जंगल जैसा दिखता है।",
    "ta": "ஆலமரம் விழுதுகளைக் கீழே விடுகிறது. பழைய மரம் சிறிய காடு போலத் தோன்றும்.",
    "ar": "تنمو جذور الشجرة من الأغصان إلى الأرض. تبدو الشجرة القديمة مثل غابة صغيرة.",
    "zh-Hans": "北京大学是中国近代第一所国立大学。学校位于北京市海淀区。",
    "ja": "東京都知事選挙は都知事を選ぶ選挙です。投票は四年に一度行われます。",
    "th": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย มีประชากรมากที่สุด",
}


def table(passages: Any = ENGLISH) -> pa.Table:
    return pa.table(
        {
            "doc_id": [key for key, _ in passages],
            "title": ["" for _ in passages],
            "text": [text for _, text in passages],
        }
    )


def make(
    style: str, shards: list[pa.Table], folder: Path, lang: str = "en", seed: int = 0, **options: Any
) -> tuple[list[dict[str, Any]], Any]:
    result = MakeSalient(style, options, lang, seed).run({"rows": shards}, Workspace("k", folder, folder))
    made = [row for shard in result.outputs["out"] for row in shard.table.to_pylist()]
    return made, result


def test_phrases_are_words_of_the_passage_without_function_words(tmp_path: Path) -> None:
    made, result = make("salient-phrase", [table()], tmp_path)
    assert [row["parent_id"] for row in made] == ["lamp", "bread", "well"]
    for row in made:
        passage = dict(ENGLISH)[row["parent_id"]]
        own = re.findall(r"\w+", row["text"])
        assert 2 <= len(own) <= 6
        assert set(own) <= set(re.findall(r"\w+", passage))
        assert not {"the", "of", "its", "in", "and", "it", "is"} & {word.lower() for word in own}
        assert row["text"] not in passage  # phrases from several places
        phrases = json.loads(row["details"])["phrases"]
        assert " ".join(phrases) == row["text"]
        assert [passage.index(one) for one in phrases] == sorted(passage.index(one) for one in phrases)
        assert (row["generator"], row["style"], row["prompt"], row["n_said"]) == ("salient", "salient-phrase", "", 0)
    assert [(one["id"], one["outcome"], one["rule"]) for one in result.verdicts] == [
        ("number", "dropped", "nothing_to_ask")
    ]
    counts = result.counts
    assert (counts.n_in, counts.kept, counts.dropped, counts.failed) == (4, 3, 1, 0)


def test_rows_do_not_depend_on_shards_and_every_id_is_one_of_its_own(tmp_path: Path) -> None:
    for style in ("salient-phrase", "inverse-cloze"):
        whole, _ = make(style, [table()], tmp_path, per_passage=2)
        cut, _ = make(style, [table().slice(place, 1) for place in range(4)], tmp_path, per_passage=2)
        assert whole == cut
        assert (
            len({row["id"] for row in whole}) == len(whole) == len({(row["parent_id"], row["text"]) for row in whole})
        )
        once, _ = make(style, [table()], tmp_path)
        assert {row["parent_id"] for row in whole} == {row["parent_id"] for row in once}


def test_words_that_many_passages_hold_are_no_phrase_where_nothing_is_listed(tmp_path: Path) -> None:
    passages = [(str(n), f"blorp klim{n} zand{n} blorp wex{n}, mo{n} blorp sul{n}") for n in range(30)]
    made, _ = make("salient-phrase", [table(passages)], tmp_path, lang="qaa")
    assert len(made) == 30
    assert not any("blorp" in row["text"] for row in made)


def test_frequencies_are_those_of_passages_and_rare_words_come_first() -> None:
    found = Frequencies()
    found.add(pa.array(["red fox red", "red hen"]))
    found.add(pa.array(["blue hen", ""]))
    assert found.n == 4
    assert found.of(["red", "Fox", "hen", "owl", "!"]).tolist() == [2, 1, 2, 0, 0]
    [ranked] = Phrases(found, "qaa").found(["hen, fox, red"])
    assert [(one.start, one.end) for one in ranked] == [(5, 8)]  # the others stand in half of the passages
    [ranked] = Phrases(found, "en").found(["a state-of-the-art fox"])
    assert any("of" in "a state-of-the-art fox"[one.start : one.end] for one in ranked)


@pytest.mark.parametrize("lang", OTHERS)
def test_every_script_has_phrases(lang: str, tmp_path: Path) -> None:
    text = OTHERS[lang]
    made, _ = make("salient-phrase", [table([("d", text), ("e", "…")])], tmp_path, lang=lang)
    assert len(made) == 1
    assert all(phrase in text for phrase in json.loads(made[0]["details"])["phrases"])


def test_a_sentence_is_cut_out_of_no_passage_and_drawn_by_the_seed(tmp_path: Path) -> None:
    one = ("one", "Only one sentence stands in this passage.")
    long = ("long", " ".join(f"Sentence number {n} speaks of things." for n in range(40)))
    drawn = set()
    for seed in range(6):
        made, result = make("inverse-cloze", [table([*ENGLISH[:3], one, long])], tmp_path, seed=seed)
        assert [row["parent_id"] for row in made] == ["lamp", "bread", "well", "long"]
        assert [verdict["id"] for verdict in result.verdicts] == ["one"]
        for row in made:
            place = json.loads(row["details"])
            assert dict([*ENGLISH, long])[row["parent_id"]][place["start"] : place["end"]] == row["text"]
        drawn.add(made[-1]["text"])
    assert len(drawn) > 1
    made, _ = make("inverse-cloze", [table([long])], tmp_path, per_passage=100)
    assert len({row["text"] for row in made}) == len(made) == 40


def test_unknown_and_impossible_options_are_told() -> None:
    with pytest.raises(UnknownName, match="salient-phrase"):
        open_style("salient-phrases", {})
    with pytest.raises(UnknownName, match="max_words"):
        open_style("inverse-cloze", {"max_word": 3})
    with pytest.raises(RecipeError, match="in this order"):
        open_style("salient-phrase", {"min_words": 9})
    with pytest.raises(RecipeError, match="at least 1"):
        open_style("salient-phrase", {"per_passage": 0})
    with pytest.raises(RecipeError, match="valid integer"):
        open_style("salient-phrase", {"max_words": "six"})


def _beir(folder: Path) -> str:
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": key, "title": title, "text": text}) for key, title, text in DOCS]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "what is wool"}) + "\n", "utf-8")
    (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\t{DOCS[0][0]}\t1\n", "utf-8")
    return f"beir:{folder}"


def test_the_command_needs_no_model_and_says_so(tmp_path: Path) -> None:
    source = _beir(tmp_path / "set")
    given = ("--src", source, "--lang", "en", "--store", str(tmp_path / "store"), "--format", "json")
    code, said, err = cli("generate", "queries", *given, "--out", str(tmp_path / "out"))
    assert code == 0, err
    assert "needs no model" in err
    found = json.loads(said)["languages"]["en"]
    assert found["passages"] == len(DOCS)
    assert found["asked"] == sum(bool(text) for _, _, text in DOCS) == found["answered"] + found["nothing"]
    queries = rows(tmp_path / "out", "en-queries/*")
    assert queries
    assert {one["generator"] for one in queries} == {"salient"}
    assert {one["judge"] for one in rows(tmp_path / "out", "en-qrels/*")} == {"generated:salient"}
    assert cli("verify", str(tmp_path / "out"))[0] == 0
    # Sentences of their own passage would all be lost as copies.
    code, said, err = cli("generate", "queries", *given, "--style", "inverse-cloze", "--out", str(tmp_path / "cloze"))
    assert code == 0, err
    assert "funnel step copied did not run" in err
    assert json.loads(said)["languages"]["en"]["kept"] > 0
    code, _, err = cli("generate", "queries", *given, "--langs", "hi", "--out", str(tmp_path / "hi"))
    assert (code, "no queries in hi" in err) == (2, True)
    code, _, err = cli("generate", "queries", *given, "--style", "swim-ir", "--out", str(tmp_path / "no"))
    assert (code, "salient-phrase" in err) == (2, True)
