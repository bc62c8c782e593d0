"""`dsbuild project` from files to a release: what becomes of every span, and what everything else makes of the release."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.projection import projectors
from dsbuild.builders.projection.projected import by_language, public_src, set_name
from dsbuild.builders.releases.verification import verify
from dsbuild.errors import RecipeError
from dsbuild.project.projector import Projected
from dsbuild.registry import Registry
from dsbuild.release import read_manifest
from tests.small_projector import Told
from tests.small_set import cli, digests, rows

EN = [
    ("The big pizza was great .", "O O B-FOOD O O O"),
    ("I love the service and the red wine .", "O O O B-STAFF O O B-FOOD I-FOOD O"),
    ("We sat outside in the warm evening sun .", "O O B-PLACE O O O O O O"),
    ("Nothing here was worth the money at all .", "O O O O O O O O O"),
]
ES = [
    "La gran pizza era genial .",
    "Me encanta el servicio y el vino tinto .",
    "Nos sentamos en el sol cálido de la tarde .",
    "Nada aquí valía la pena en absoluto .",
]
LINKS = [
    "0-0 1-1 2-2 3-3 4-4 5-5",
    "0-0 1-1 2-2 3-3 4-4 5-5 6-7 7-6 8-8",
    "0-0 1-1 3-2 4-3 5-5 7-4 8-9",
    "0-0 1-1 2-2 8-7",
]


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"align": "ByLinks", "auto": "ByLinks", "fuzzy": "Told", "candidates": "ByText", "markers": "Aloud"}
    registry = Registry("projection method", {name: f"tests.small_projector:{kind}" for name, kind in table.items()})
    monkeypatch.setattr(projectors, "PROJECTORS", registry)


def conll(path: Path, given: list[tuple[str, str]]) -> Path:
    sentences = (
        "".join(f"{token} {tag}\n" for token, tag in zip(text.split(), tags.split(), strict=True))
        for text, tags in given
    )
    path.write_text("\n".join(sentences), "utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    conll(tmp_path / "en.conll", EN)
    # The labels of the target are wrong, so that it shows if somebody reads them.
    conll(tmp_path / "es.conll", [(text, " ".join(["B-WRONG"] * len(text.split()))) for text in ES])
    (tmp_path / "links.txt").write_text("".join(f"{line}\n" for line in LINKS), "utf-8")
    return tmp_path


def project(
    folder: Path, *more: str, out: str = "out", method: str = "align", json_too: bool = True
) -> tuple[int, str, str]:
    arguments = [
        "project",
        "--src",
        f"conll:{folder / 'en.conll'}",
        "--method",
        method,
        "--out",
        str(folder / out),
        "--store",
        str(folder / "store"),
    ]
    return cli(*arguments, *(("--format", "json") if json_too else ()), *more)


def onto(folder: Path, *more: str, **options: Any) -> dict[str, Any]:
    target = ("--target", f"conll:{folder / 'es.conll'}", "--alignments", str(folder / "links.txt"))
    code, out, err = project(folder, *target, *more, **options)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def surfaces(folder: Path, config: str) -> dict[str, list[tuple[str, str]]]:
    return {
        row["id"]: [(row["text"][one["start"] : one["end"]], one["label"]) for one in row["spans"]]
        for row in rows(folder, f"{config}/*")
    }


def test_the_command_without_languages(files: Path) -> None:
    found = onto(files)
    assert found["languages"]["es"]["spans"] == {"in": 4, "kept": 3, "null": 1, "low_confidence": 0, "rejected": 0}
    assert found["languages"]["es"]["labels"]["PLACE"]["null"] == 1
    assert any("identified as es" in note for note in found["notes"])
    assert any("identified as en" in note for note in found["notes"])
    assert "es: saw 4 pairs" in found["notes"]
    out = files / "out"
    assert verify(out)["problems"] == []
    assert surfaces(out, "es-labelled") == {
        "0": [("pizza", "FOOD")], "1": [("servicio", "STAFF"), ("vino tinto", "FOOD")], "2": [], "3": [],
    }  # fmt: skip
    row = rows(out, "es-labelled/*")[1]
    assert (row["confidence"], row["method"], row["n_source_spans"], row["n_missing"]) == (
        [0.9, 0.9],
        ["align", "align"],
        2,
        0,
    )


def test_every_span_has_a_row_of_its_own_and_the_lost_ones_a_verdict(files: Path) -> None:
    onto(files)
    spans = rows(files / "out", "spans/es-*")
    assert [(one["src_text"], one["tgt_text"], one["outcome"], one["reason"]) for one in spans] == [
        ("pizza", "pizza", "kept", ""), ("service", "servicio", "kept", ""), ("red wine", "vino tinto", "kept", ""), 
        ("outside", "", "null", "no_links"),
    ]  # fmt: skip
    (said,) = [one for one in rows(files / "out", "dropped/verdicts-*") if one["table"] == "spans"]
    assert (said["lang"], said["id"], said["outcome"], said["rule"]) == ("es", "2\t0", "null", "no_links")
    assert json.loads(said["detail"]) == {"label": "PLACE", "text": "outside", "method": "align"}


def test_the_same_files_make_the_same_bytes(files: Path) -> None:
    onto(files)
    onto(files, "--workers", "1", out="again")
    assert digests(files / "out") == digests(files / "again")


def test_other_commands_take_the_release(files: Path) -> None:
    onto(files)
    out = str(files / "out")
    code, said, _ = cli("explain", out, "--id", "2", "--lang", "es", "--format", "json")
    (story,) = json.loads(said)["rows"]
    assert code == 0
    assert story["fate"] == "kept"
    assert story["source"]["text"] == EN[2][0]
    assert [one["outcome"] for one in story["spans"]] == ["null"]
    assert [one["rule"] for stage in story["stages"] for one in stage.get("verdicts", ())] == ["no_links"]
    assert "outside" in cli("explain", out, "--id", "2")[1]
    assert cli("status", out)[0] == 0
    assert "keeps no scores to decide again" in cli("what-if", out, "--set", "bitext.max_loop=0.2")[2]
    code, _, err = cli(
        "release",
        out,
        "--name",
        "food-es",
        "--version",
        "1.0.0",
        "--license",
        "cc-by-4.0",
        "--out",
        str(files / "food"),
    )
    assert code == 0, err
    assert verify(files / "food/1.0.0")["problems"] == []
    page = (files / "food/1.0.0/report.html").read_text("utf-8")
    assert "What became of every span" in page
    assert re.search(r"<mark[^>]*>vino tinto</mark>", page)


def test_datasets_loads_both_tables(files: Path) -> None:
    from datasets import load_dataset

    onto(files)
    for config in ("en-labelled", "es-labelled"):
        loaded = load_dataset(str(files / "out"), config, cache_dir=str(files / "cache"))["labelled"]
        assert loaded.num_rows == 4
        assert loaded[0]["spans"][0]["label"] == "FOOD"


def test_written_again_in_the_format_of_the_source(files: Path) -> None:
    found = onto(files, "--write", f"conll:{files / 'made.conll'}")
    assert found["written"] == {str(files / "made.conll"): 4}
    lines = (files / "made.conll").read_text("utf-8").split("\n\n")[1].split("\n")
    assert [line.split()[-1] for line in lines if line] == ["O", "O", "O", "B-STAFF", "O", "O", "B-FOOD", "I-FOOD", "O"]


def test_rows_with_a_missing_span_go_if_rows_are_to_be_complete(files: Path) -> None:
    Told.SAID = {
        "0": Projected("0", ((3, 7),), 0.5, "fuzzy"),
        "1": Projected("1", (), None, "fuzzy", "rejected", "unlike"),
    }
    found = onto(files, "--set", "rows=complete", method="fuzzy")
    assert found["accounting"]["es"]["labelled"]["reasons"] == {"spans_missing": 1}
    assert verify(files / "out")["problems"] == []
    assert [row["id"] for row in rows(files / "out", "dropped/es-labelled-*")] == ["1"]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        (((3, 400),), "unsound"),
        (((9, 4),), "unsound"),
        (((2, 3),), "unsound"),
        ((), "unsound"),
        (((0, 4), (2, 6)), "unsound"),
    ],
)
def test_what_is_not_sound_is_rejected_and_never_written(files: Path, pieces: Any, reason: str) -> None:
    Told.SAID = {"0": Projected("0", pieces, 0.99, "fuzzy"), "1": Projected("1", ((0, 2),), 0.3, "fuzzy")}
    found = onto(files, method="fuzzy")
    assert found["languages"]["es"]["reasons"].keys() == {reason}
    assert verify(files / "out")["problems"] == []


def test_a_method_that_says_nothing_of_a_span(files: Path) -> None:
    Told.SAID = {}
    assert onto(files, method="fuzzy")["languages"]["es"]["reasons"] == {"no_answer": 4}


def test_of_two_spans_in_one_place_the_less_sure_one_goes(files: Path) -> None:
    Told.SAID = {"0": Projected("0", ((0, 10),), 0.2, "fuzzy"), "1": Projected("1", ((3, 12),), 0.8, "fuzzy")}
    found = onto(files, method="fuzzy")
    assert found["languages"]["es"]["reasons"] == {"overlaps_another": 1}
    assert [label for _, label in surfaces(files / "out", "es-labelled")["1"]] == ["FOOD"]
    onto(files, "--set", "overlaps=keep", method="fuzzy", out="both")
    assert len(surfaces(files / "both", "es-labelled")["1"]) == 2


def test_relations_go_with_their_ends(tmp_path: Path) -> None:
    spans = [{"id": "a", "start": 0, "end": 3, "label": "PER"}, {"id": "b", "start": 10, "end": 14, "label": "LOC"}]
    source = {
        "id": "r",
        "text": "Ada is in Pune.",
        "lang": "en",
        "spans": spans,
        "relations": [{"head": "a", "tail": "b", "label": "in"}],
    }
    (tmp_path / "en.jsonl").write_text(json.dumps(source) + "\n", "utf-8")
    (tmp_path / "de.jsonl").write_text(
        json.dumps({"id": "r", "text": "Ada ist in Pune.", "lang": "de", "spans": []}) + "\n", "utf-8"
    )
    arguments = [
        "project",
        "--src",
        f"spans:{tmp_path / 'en.jsonl'}",
        "--target",
        f"spans:{tmp_path / 'de.jsonl'}",
        "--method",
        "fuzzy",
    ]
    for name, place, relations in (("both", ((11, 15),), 1), ("one", (), 0)):
        Told.SAID = {
            "a": Projected("a", ((0, 3),), 0.9, "fuzzy"),
            "b": Projected("b", place, 0.9, "fuzzy", *(() if place else ("null", "dropped"))),
        }
        code, _, err = cli(*arguments, "--store", str(tmp_path / name / "store"), "--out", str(tmp_path / name / "out"))
        assert code == 0, err
        (row,) = rows(tmp_path / name / "out", "de-labelled/*")
        assert len(row["relations"]) == relations
        orphaned = [one for one in rows(tmp_path / name / "out", "dropped/verdicts-*") if one["table"] == "relations"]
        assert len(orphaned) == 1 - relations
        assert verify(tmp_path / name / "out")["problems"] == []


def test_an_engine_translates_where_there_is_no_target(tmp_path: Path) -> None:
    text = "The city of Pune has 42 schools. It is near the sea."
    spans = [{"id": "n", "start": text.index("42"), "end": text.index("42") + 2, "label": "NUM"},
             {"id": "c", "start": 12, "end": 16, "label": "LOC"}]  # fmt: skip
    (tmp_path / "en.jsonl").write_text(
        json.dumps({"id": "r", "text": text, "lang": "en", "spans": spans}) + "\n", "utf-8"
    )
    code, out, err = cli(
        "project", "--src", f"spans:{tmp_path / 'en.jsonl'}", "--langs", "hi,mr", "--engine", "mini", "--method", "candidates",
        "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"), "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert {lang: one["translation"] for lang, one in found["languages"].items()} == {"hi": "engine", "mr": "engine"}
    assert found["languages"]["hi"]["spans"]["in"] == 2
    (row,) = rows(tmp_path / "out", "hi-labelled/*")
    assert all(row["text"][one["start"] : one["end"]] == "42" for one in row["spans"])
    assert {one["segment"] for one in rows(tmp_path / "out", "segments/hi-labelled-*")} == {0, 1}
    assert verify(tmp_path / "out")["problems"] == []
    assert read_manifest(tmp_path / "out")["engines"]["mini"]["license"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--langs", "es"), "a translation or an engine is needed"),
        (("--target", "conll:{}/es.conll", "--langs", "es,de"), "of which of es, de?"),
        (("--target", "conll:{}/es.conll", "--langs", "en"), "the source is in en already"),
        (("--target", "de=conll:{}/es.conll", "--langs", "es"), "for de, which is not among the languages"),
        (("--target", "connl:{}/es.conll"), "Did you mean 'conll'?"),
        (("--target", "conll:{}/nowhere.conll"), "nowhere.conll: no such file"),
        (("--target", "conll:{}/es.conll", "--alignments", "{}/nowhere"), "nowhere"),
        (("--target", "conll:{}/es.conll", "--method", "aligned"), "no projection method 'aligned'"),
        (("--target", "conll:{}/es.conll", "--set", "align.shure=1"), "Did you mean 'sure'?"),
        (("--target", "conll:{}/es.conll", "--set", "align.sure=1", "--target-precision", "0.9"), "only the method auto"),
        (("--target", "conll:{}/es.conll", "--write", "de=conll:{}/x"), "de is not among the languages"),
        (("--langs", "xx", "--engine", "mini"), "no language 'xx'"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(files: Path, more: tuple[str, ...], said: str) -> None:
    given = [one.replace("{}", str(files)) for one in more]
    if "--write" in more:
        given += ["--langs", "es"]
    code, out, err = project(files, *given)
    assert code == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("links", "said"),
    [
        (LINKS[:3], "ends after 3 lines"),
        ([*LINKS, "0-0"], "links.txt:5: a line more than the set has rows (4)"),
        ([*LINKS[:1], "0-99", *LINKS[2:]], "links.txt:2: row '1': link 0-99 is outside"),
        (["0:0", *LINKS[1:]], "links.txt:1: row '0': '0:0' is no link"),
    ],
)
def test_links_that_do_not_fit_the_texts(files: Path, links: list[str], said: str) -> None:
    (files / "links.txt").write_text("".join(f"{line}\n" for line in links), "utf-8")
    code, _, err = project(files, "--target", f"conll:{files / 'es.conll'}", "--alignments", str(files / "links.txt"))
    assert code == 2
    assert said in err
    assert err.splitlines()[-1].startswith("dsbuild: ")


def test_a_target_with_another_number_of_rows(files: Path) -> None:
    conll(files / "es.conll", [(text, " ".join(["O"] * len(text.split()))) for text in ES[:3]])
    code, _, err = project(files, "--target", f"conll:{files / 'es.conll'}")
    assert code == 2
    assert "has 3 texts" in err


def test_a_limit_takes_the_first_rows_of_all_files(files: Path) -> None:
    found = onto(files, "--limit", "2")
    assert found["accounting"]["es"]["labelled"]["in"] == 2
    assert any("--limit leaves out" in note for note in found["notes"])


def test_a_recipe_is_planned_and_run(files: Path) -> None:
    recipe = files / "food.yaml"
    recipe.write_text(
        f"build: project\nsource:\n  src: conll:{files / 'en.conll'}\nlangs: [es]\ntarget:\n  es:\n    src: conll:{files / 'es.conll'}\n"
        f"alignments:\n  es: {files / 'links.txt'}\nmethod: align\nalign:\n  sure: 0.7\n",
        "utf-8",
    )
    code, out, err = cli("plan", str(recipe), "--store", str(files / "store"), "--format", "json")
    assert code == 0, err
    assert [line["node"] for line in json.loads(out)["nodes"]] == ["read", "target.es", "links.es", "project.es"]
    code, _, err = cli("run", str(recipe), "--store", str(files / "store"), "--out", str(files / "out"))
    assert code == 0, err
    recipe_said = read_manifest(files / "out")["recipe"]
    assert recipe_said["align"] == {"sure": 0.7}
    assert str(files) not in json.dumps(recipe_said)
    assert rows(files / "out", "es-labelled/*")[0]["confidence"] == [0.7]


def test_options_that_name_a_language() -> None:
    assert by_language(["es=conll:a=b.conll", "de=conll:de"], "--target") == {"es": "conll:a=b.conll", "de": "conll:de"}
    assert by_language(["conll:a=b.conll"], "--target") == {"auto": "conll:a=b.conll"}
    with pytest.raises(RecipeError, match="name the language of each"):
        by_language(["conll:a", "conll:b"], "--target")
    assert (public_src("xquad:/data/en.json"), set_name("conll:/data/en.test.conll.gz")) == ("xquad:en.json", "en.test")


def labelled_lines(path: Path, given: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), "utf-8")
    return path


def odd(tmp_path: Path, source: list[dict[str, Any]], target: list[dict[str, Any]], *more: str) -> tuple[int, str, str]:
    src = labelled_lines(tmp_path / "src.jsonl", [{"spans": [], **row} for row in source])
    tgt = labelled_lines(tmp_path / "tgt.jsonl", target)
    return cli(
        "project", "--src", f"spans:{src}", "--target", f"spans:{tgt}", "--src-lang", "en", "--langs", "ar", *(more or ("--method", "candidates")),
        "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--format", "json",
    )  # fmt: skip


def span(text: str, surface: str, name: str = "s", label: str = "X") -> dict[str, Any]:
    start = text.index(surface)
    return {"id": name, "start": start, "end": start + len(surface), "label": label}


def test_odd_texts_end_in_a_verdict_and_no_span_is_shifted(tmp_path: Path) -> None:
    texts = {
        "empty": ("Ada Bell sang.", "Ada Bell", ""),
        "blank": ("Ada Bell sang.", "Ada Bell", " \n\u2003"),
        "right-to-left": ("Ada Bell sang.", "Ada Bell", "\u200fغنّت Ada Bell أمس\u200f."),
        "marks": ("The cafe\u0301 burned.", "cafe\u0301", "احترق cafe\u0301 كله"),
        "emoji": ("A 👩‍👩‍👧 stood 🎈 here.", "👩‍👩‍👧", "هنا 🎈 وقفت 👩‍👩‍👧 طويلا"),
        "long": ("word " * 2_000 + "Ada Bell", "Ada Bell", "كلمة " * 2_000 + "Ada Bell"),
    }
    source = [{"id": name, "text": text, "spans": [span(text, surface)]} for name, (text, surface, _) in texts.items()]
    target = [
        {"id": name, "text": text, "spans": [{"start": 0, "end": 10_000_000, "label": 3}]}
        for name, (_, _, text) in texts.items()
    ]
    code, out, err = odd(tmp_path, source, target)
    assert code == 0, err
    assert json.loads(out)["languages"]["ar"]["reasons"] == {"empty_target": 2}
    # A row without a text is no row of the table: it is dropped, with a verdict.
    assert json.loads(out)["accounting"]["ar"]["labelled"]["reasons"] == {"empty_target": 2}
    found = surfaces(tmp_path / "out", "ar-labelled")
    assert found.keys() == texts.keys() - {"empty", "blank"}
    assert sorted(row["id"] for row in rows(tmp_path / "out", "dropped/ar-labelled-*")) == ["blank", "empty"]
    for name, said in found.items():
        assert [surface for surface, _ in said] == [texts[name][1]]
        assert [row["text"] for row in rows(tmp_path / "out", "ar-labelled/*") if row["id"] == name] == [texts[name][2]]
    assert verify(tmp_path / "out")["problems"] == []


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ([{"id": "a", "text": "One.", "spans": [{"start": 2, "end": 9, "label": "X"}]}], [{"id": "a", "text": "واحد"}], "not inside the text"),
        ([{"id": "a", "text": "One.", "spans": [{"start": 0, "end": 3, "label": ""}]}], [{"id": "a", "text": "واحد"}], "has no label"),
        ([{"id": "a", "text": "One."}, {"id": "a", "text": "Two."}], [{"id": "a", "text": "واحد"}], "comes twice"),
        ([{"id": "a", "text": "One."}], [{"id": "b", "text": "واحد"}], "has no text with the id 'a'"),
        ([{"id": "a", "text": "One."}], [{"id": "a", "text": "واحد"}, {"id": "a", "text": "اثنان"}], "comes twice"),
        ([{"id": "a", "text": "One."}, {"text": "Two."}], [{"id": "a", "text": "واحد"}], "some rows have an id and some have none"),
    ],
)  # fmt: skip
def test_bad_rows_are_one_line_that_names_them(tmp_path: Path, source: Any, target: Any, said: str) -> None:
    code, _, err = odd(tmp_path, source, target)
    assert code == 2
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("dsbuild: ")
    assert not (tmp_path / "out").exists()


def test_a_set_without_a_span(tmp_path: Path) -> None:
    code, out, err = odd(tmp_path, [{"id": "a", "text": "One."}], [{"id": "a", "text": "واحد"}])
    assert code == 0
    assert json.loads(out)["languages"]["ar"]["coverage"] is None
    assert "the source has no spans" in err
    assert verify(tmp_path / "out")["problems"] == []


def test_verify_finds_what_was_changed_afterwards(files: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    onto(files)
    path = next((files / "out/spans").glob("es-*"))
    table = pq.read_table(path)
    changed = table.set_column(
        table.column_names.index("outcome"), table.schema.field("outcome"), pa.array(["rejected"] * 4)
    )
    pq.write_table(changed, path)
    manifest = json.loads((files / "out/manifest.json").read_text("utf-8"))
    import hashlib

    for entry in manifest["files"]:
        if entry["path"].startswith("spans/"):
            entry |= {"size_bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (files / "out/manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert any("spans" in problem for problem in verify(files / "out")["problems"])


def test_a_method_that_translates_itself(files: Path) -> None:
    code, out, err = project(files, "--langs", "hi", "--engine", "mini", method="markers")
    assert code == 0, err
    found = json.loads(out)
    assert found["languages"]["hi"]["spans"] == {"in": 4, "kept": 1, "null": 0, "low_confidence": 0, "rejected": 3}
    assert found["accounting"]["hi"]["labelled"]["reasons"] == {"no_translation": 1}
    assert surfaces(files / "out", "hi-labelled")["1"] == [("RED WINE", "FOOD")]
    assert verify(files / "out")["problems"] == []
    assert not (files / "out/segments").exists()
    code, out, err = project(
        files, "--langs", "es", "--target", f"conll:{files / 'es.conll'}", method="markers", out="given"
    )
    assert code == 2
    assert "needs a engine" in err or "needs an engine" in err


def write_columns(path: Path, rows: list[str], head: str = "") -> Path:
    path.write_text(head + "".join(f"{row}\n" for row in rows) + ("\n" if head else ""), "utf-8")
    return path


def named_recipe(folder: Path, recipe: str, kind: str, lang: str, *more: str) -> dict[str, Any]:
    code, out, err = cli(
        "project", "--recipe", recipe, "--src", f"{kind}:{folder / 'en'}", "--target", f"{kind}:{folder / 'tgt'}", "--src-lang", "en",
        "--langs", lang, "--method", "candidates", "--store", str(folder / "store"), "--out", str(folder / recipe), "--format", "json", *more,
    )  # fmt: skip
    assert code == 0, err
    assert verify(folder / recipe)["problems"] == []
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_recipe_for_arguments(tmp_path: Path) -> None:
    write_columns(tmp_path / "en", [f"{token}\t{tag}" for token, tag in zip(*map(str.split, EN[0]), strict=True)])
    write_columns(tmp_path / "tgt", [f"{token}\tO" for token in ES[0].split()])
    found = named_recipe(tmp_path, "argument-mining", "essays", "es", "--write", f"essays:{tmp_path / 'made'}")
    assert found["languages"]["es"]["spans"]["kept"] == 1
    assert "pizza\tB-FOOD\n" in (tmp_path / "made").read_text("utf-8")
    assert read_manifest(tmp_path / "argument-mining")["recipe"]["align"] == {"rule": "hull"}


def test_the_recipe_for_slots(tmp_path: Path) -> None:
    english = zip("turn on the lamp".split(), "O O B-object I-object".split(), strict=True)
    german = zip("mach die Lampe an".split(), "OOOO", strict=True)
    for name, text, tagged in (("en", "turn on the lamp", english), ("tgt", "mach die Lampe an", german)):
        lines = [f"{number}\t{token}\tlight/on\t{tag}" for number, (token, tag) in enumerate(tagged, 1)]
        write_columns(tmp_path / name, lines, f"# text = {text}\n")
    found = named_recipe(tmp_path, "slot-filling", "xsid", "de")
    assert found["accounting"]["de"]["labelled"]["reasons"] == {"spans_missing": 1}


def test_gold_whose_ids_are_other_numbers(files: Path) -> None:
    onto(files)
    gold = [{"id": str(number + 1), "text": text, "lang": "es", "spans": []} for number, text in enumerate(ES)]
    gold[0]["spans"] = [span(ES[0], "pizza", label="FOOD")]
    spec = f"spans:{labelled_lines(files / 'gold.jsonl', gold)}"
    code, out, err = cli("evaluate", "projection", "--gold", spec, "--pred", str(files / "out"), "--format", "json")
    assert code == 0, err
    assert json.loads(out)["exact"]["recall"] == 1.0
    assert "in the same order" in err


@pytest.mark.parametrize(
    ("text", "pieces", "outcome"),
    [
        ("le cafe\u0301 noir", ((3, 7),), "cuts_a_character"),
        ("le cafe\u0301 noir", ((3, 8),), ""),
        ("le cafe\u0301 noir", ((7, 13),), "cuts_a_character"),
        ("पुणे में", ((0, 3),), "cuts_a_character"),
        ("पुणे में", ((0, 4),), ""),
        ("ici 👩\u200d👧 là", ((4, 5),), "cuts_a_character"),
        ("ici 👩\u200d👧 là", ((6, 7),), "cuts_a_character"),
        ("ici 👩\u200d👧 là", ((4, 7),), ""),
        ("ভাত" * 100, ((150, 153),), ""),
    ],
)
def test_no_border_parts_a_character(tmp_path: Path, text: str, pieces: Any, outcome: str) -> None:
    Told.SAID = {"s": Projected("s", pieces, 0.9, "fuzzy")}
    code, out, err = odd(
        tmp_path,
        [{"id": "a", "text": "One.", "spans": [span("One.", "One")]}],
        [{"id": "a", "text": text}],
        "--method",
        "fuzzy",
    )
    assert code == 0, err
    assert json.loads(out)["languages"]["ar"]["reasons"] == ({outcome: 1} if outcome else {})
