"""`dsbuild split` from a file to a release: links found and splits counted again without dsbuild."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import shutil
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.filtering.splitting import split
from dsbuild.errors import DsbuildError, RecipeError, SourceError
from tests.small_set import LINES, cli, digests, make, rows, write_memory, write_set

WORDS = (
    "mill stream valley wheel stone baker bread morning lamp harbour rope sail wind letter bridge garden winter copper field horse "
    "market violin paper river cloud honey window iron school thread candle meadow engine ladder orchard barrel signal quarry"
).split()
HINDI = "नदी गाँव सुबह मंडी सड़क पेड़ बाज़ार किताब खिड़की रोशनी पानी हवा दीवार घर बारिश मेला नाव चाँद खेत पत्थर घोड़ा बगीचा पुल दीपक".split()


def sentence(draw: random.Random, words: list[str], n: int = 14) -> str:
    return " ".join(draw.choices(words, k=n))


def shingles(text: str) -> set[str]:
    """Grapheme 5-grams of texts of letters, marks and spaces in lower case."""
    text = unicodedata.normalize("NFD", " ".join(text.lower().split()))
    units: list[str] = []
    for letter in text:
        if units and unicodedata.category(letter).startswith("M"):
            units[-1] += letter
        else:
            units.append(letter)
    return {"".join(units[i : i + 5]) for i in range(len(units) - 4)}


def jaccard(one: str, other: str) -> float:
    left, right = shingles(one), shingles(other)
    return len(left & right) / len(left | right)


def write_rows(path: Path, given: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), "utf-8")
    return f"jsonl:{path}"


def run(
    folder: Path,
    given: list[dict[str, Any]],
    *settings: str,
    out: str = "out",
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    **more: Any,
) -> dict[str, Any]:
    src = write_rows(folder / "rows.jsonl", given)
    train, dev, test = shares
    return split(
        src, train=train, dev=dev, test=test, settings=settings, out=folder / out, store=folder / "store", **more
    )


def where(folder: Path, table: str = "documents", key: str = "doc_id") -> dict[str, str]:
    """The split of each id, by the files that the rows lie in."""
    found = {}
    for path in sorted(folder.glob(f"*-{table}/*.parquet")):
        name = path.name.split("-")[0]
        for row in rows(folder, f"{path.parent.name}/{path.name}"):
            assert found.setdefault(row[key], name) == name
    return found


def parallel_set(n: int = 120) -> list[dict[str, Any]]:
    """English and Hindi rows of the same source; the Hindi of some is nearly that of others whose English has nothing in common."""
    draw = random.Random(3)
    english = [sentence(draw, WORDS) for _ in range(n)]
    hindi = [sentence(draw, HINDI, 16) for _ in range(n)]
    for one, other in ((0, 50), (1, 51), (51, 90), (2, 52)):
        hindi[other] = hindi[one] + " अब"
    english[60] = english[90].replace(english[90].split()[3], "anvil", 1)
    return [
        {"id": f"{lang}-{i}", "text": text, "lang": lang, "source_id": f"s{i}"}
        for lang, texts in (("en", english), ("hi", hindi))
        for i, text in enumerate(texts)
    ]


def slow_groups(given: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Every pair of rows compared; who is linked with whom, through others too."""
    group = {row["id"]: {row["id"]} for row in given}
    for one, other in itertools.combinations(given, 2):
        if one["source_id"] == other["source_id"] or (
            one["lang"] == other["lang"] and jaccard(one["text"], other["text"]) >= 0.8
        ):
            joined = group[one["id"]] | group[other["id"]]
            for name in joined:
                group[name] = joined
    return group


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    run(folder, parallel_set())
    return folder


def test_linked_rows_of_any_language_share_a_split_and_shares_are_right(folder: Path) -> None:
    found, groups = where(folder / "out"), slow_groups(parallel_set())
    assert found.keys() == groups.keys()
    # Through the translation of 90 into Hindi and its twins, English 60 belongs to English 1.
    assert {"en-1", "hi-51", "hi-90", "en-90", "en-60", "hi-60"} <= groups["hi-1"]
    for name, group in groups.items():
        assert {found[one] for one in group} == {found[name]}
    counts = Counter(found.values())
    for name, share in (("train", 0.8), ("dev", 0.1), ("test", 0.1)):
        assert abs(counts[name] / len(found) - share) <= 0.01


def test_no_pair_across_splits_is_as_alike_as_was_said(folder: Path) -> None:
    manifest = json.loads((folder / "out" / "manifest.json").read_text("utf-8"))
    findings = manifest["findings"]
    found = where(folder / "out")
    given = parallel_set()
    across = [
        jaccard(one["text"], other["text"])
        for one, other in itertools.combinations(given, 2)
        if found[one["id"]] != found[other["id"]] and one["lang"] == other["lang"]
    ]
    assert max(across) < 0.8
    assert findings["cross_split_pairs"] == 0
    if findings["cross_split_highest"] is not None:
        assert findings["cross_split_highest"] <= max(across) + 1e-6
    groups = slow_groups(given)
    assert findings["components"] == len({min(group) for group in groups.values()})
    assert findings["largest_component"] == max(len(group) for group in groups.values())


def test_the_component_names_the_smallest_id_of_its_rows(folder: Path) -> None:
    groups = slow_groups(parallel_set())
    for row in rows(folder / "out", "*-documents/*"):
        assert row["component"] == "documents:" + min(groups[row["doc_id"]])


def test_neither_the_order_of_the_rows_nor_the_workers_decide(folder: Path, tmp_path: Path) -> None:
    given = parallel_set()
    random.Random(5).shuffle(given)
    run(tmp_path, given)
    assert where(tmp_path / "out") == where(folder / "out")
    run(tmp_path, parallel_set(), out="again", executor="in-process")
    data = {name: one for name, one in digests(tmp_path / "again").items() if "-documents" in name}
    assert data == {name: one for name, one in digests(folder / "out").items() if "-documents" in name}


def test_another_seed_draws_another_test_set(folder: Path, tmp_path: Path) -> None:
    run(tmp_path, parallel_set(), seed=1)
    assert where(tmp_path / "out") != where(folder / "out")


def test_verify_agrees(folder: Path) -> None:
    code, out, err = cli("verify", folder / "out")
    assert code == 0, out + err


def test_official_splits_are_kept_and_only_train_rows_go(tmp_path: Path) -> None:
    given = parallel_set()
    official = {"en-0": "test", "en-90": "test", "hi-2": "train", "en-3": "train", "en-4": "validation"}
    for row in given:
        row["split"] = official.get(row["id"])
    found = run(tmp_path, given)
    groups = slow_groups(given)
    held = {name for name, part in official.items() if part != "train"}
    lost = {one for name in held for one in groups[name]} - held
    placed = where(tmp_path / "out")
    assert {name: placed[name] for name in official} == official
    assert set(placed) == {row["id"] for row in given} - lost
    verdicts = [row for row in rows(tmp_path / "out", "dropped/verdicts-*") if row["rule"] == "leaked_into"]
    assert {row["id"] for row in verdicts} == lost
    for row in verdicts:
        assert row["detail"] == "documents:" + min(held & groups[row["id"]])
    assert found["findings"]["leaked"] == len(lost)
    assert {row["doc_id"] for row in rows(tmp_path / "out", "dropped/*-documents-*")} == lost
    # An official train row carries what is linked to it along.
    assert {placed[name] for name in groups["hi-2"]} == {"train"}
    code, out, err = cli("verify", tmp_path / "out")
    assert code == 0, out + err


def test_official_splits_may_be_ignored(tmp_path: Path) -> None:
    given = [{**row, "split": "test"} for row in parallel_set()]
    with pytest.raises(RecipeError, match="official=ignore"):
        run(tmp_path, given)
    run(tmp_path, given, "split.official=ignore")
    assert Counter(where(tmp_path / "out").values())["train"] > 150


def test_a_component_above_five_percent_is_refused_unless_allowed(tmp_path: Path) -> None:
    given = [
        {"id": f"r{i}", "text": sentence(random.Random(i), WORDS), "lang": "en", "group_id": "g" if i < 10 else f"g{i}"}
        for i in range(100)
    ]
    with pytest.raises(RecipeError, match=r"10 of 100 rows \(10.0%\).*documents:r0.*max_component=0.1"):
        run(tmp_path, given)
    found = run(tmp_path, given, "split.max_component=0.11")
    assert found["findings"]["largest_component"] == 10
    run(tmp_path, given, "split.link=[]", out="other")


def test_pairs_are_linked_by_either_side_but_not_by_a_short_one(tmp_path: Path) -> None:
    draw = random.Random(9)
    given = [{"id": f"p{i}", "text_a": sentence(draw, WORDS), "text_b": sentence(draw, HINDI)} for i in range(80)]
    given[40]["text_a"] = given[3]["text_a"].upper()
    for row in given[50:70]:
        row["text_b"] = "हाँ"
    given[71] = {"id": "p71", "text_a": "Yes.", "text_b": "हाँ"}
    given[72] = {"id": "p72", "text_a": "yes", "text_b": "हाँ!"}
    found = run(tmp_path, given, lang="en,hi")
    component = {row["pair_id"]: row["component"] for row in rows(tmp_path / "out", "*-pairs/*")}
    assert component["p40"] == component["p3"] == "pairs:p3"
    assert component["p71"] == component["p72"]
    assert found["findings"]["components"] == 78


@pytest.fixture(scope="module")
def retrieval(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty queries with a passage each; 0 and 30 share one, the passages of 1 and 31 are near duplicates."""
    folder = tmp_path_factory.mktemp("retrieval")
    draw = random.Random(11)
    docs = [sentence(draw, WORDS, 30) for _ in range(60)]
    docs[31] = docs[1] + " indeed"
    queries = [sentence(draw, WORDS, 6) for _ in range(60)]
    (folder / "set" / "qrels").mkdir(parents=True)
    for name, texts, prefix in (("corpus", docs, "d"), ("queries", queries, "q")):
        lines = [json.dumps({"_id": f"{prefix}{i}", "text": text}) for i, text in enumerate(texts)]
        (folder / "set" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    judged = [f"q{i}\td{0 if i == 30 else i}\t1" for i in range(60)] + ["q5\td6\t0"]
    (folder / "set" / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n", "utf-8"
    )
    return folder


def test_queries_follow_their_passages(retrieval: Path) -> None:
    split(
        f"beir:{retrieval / 'set'}",
        train=0.8,
        dev=0.1,
        test=0.1,
        lang="en",
        settings=["split.official=ignore"],
        out=retrieval / "out",
        store=retrieval / "store",
    )
    placed, component = where(retrieval / "out", "queries", "query_id"), defaultdict(set)
    for row in rows(retrieval / "out", "en-queries/*"):
        component[row["component"]].add(row["query_id"])
    assert {frozenset(group) for group in component.values() if len(group) > 1} == {
        frozenset({"q0", "q30"}),
        frozenset({"q1", "q31"}),
    }
    judged = where(retrieval / "out", "qrels", "query_id")
    assert judged == placed
    assert len(rows(retrieval / "out", "en-corpus/*")) == 60
    assert len(rows(retrieval / "out", "en-qrels/*")) == 61
    code, out, err = cli("verify", retrieval / "out")
    assert code == 0, out + err


def test_queries_alone(retrieval: Path) -> None:
    settings = ["split.official=ignore", "split.follow=none"]
    found = split(
        f"beir:{retrieval / 'set'}",
        train=0.8,
        dev=0.1,
        test=0.1,
        lang="en",
        settings=settings,
        out=retrieval / "alone",
        store=retrieval / "store",
    )
    assert found["findings"]["components"] == 60


def test_a_release_is_split_again_in_all_its_languages(folder: Path) -> None:
    source = folder / "out"
    split(
        str(source),
        train=0.5,
        dev=0.5,
        test=0,
        settings=["split.official=ignore"],
        out=folder / "resplit",
        store=folder / "store",
    )
    found = where(folder / "resplit")
    assert set(found.values()) == {"train", "dev"}
    assert found.keys() == where(source).keys()
    groups = slow_groups(parallel_set())
    for name, group in groups.items():
        assert {found[one] for one in group} == {found[name]}


def test_shares_of_a_real_parallel_set(tmp_path: Path) -> None:
    texts = Path(__file__).parents[2] / "shared" / "data" / "parallel" / "ntrex"
    if not texts.is_dir():
        pytest.skip("NTREX is not beside the project")
    given = [
        {"id": f"{lang}-{i}", "text": line, "lang": lang, "source_id": str(i)}
        for lang, name in (("en", "src.eng"), ("hi", "ref.hin"))
        for i, line in enumerate(
            gzip.decompress((texts / f"newstest2019-{name}.txt.gz").read_bytes()).decode("utf-8").splitlines()
        )
    ]
    found = run(tmp_path, given, shares=(0.9, 0.05, 0.05))
    placed = where(tmp_path / "out")
    counts = Counter(placed.values())
    assert all(
        abs(counts[name] / len(given) - share) < 0.01 for name, share in (("train", 0.9), ("dev", 0.05), ("test", 0.05))
    )
    assert all(placed[f"en-{i}"] == placed[f"hi-{i}"] for i in range(len(given) // 2))
    assert found["findings"]["cross_split_pairs"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--train", "0.9", "--dev", "0.2", "--test", "0.05"], "add up to 1"),
        (["--train", "1.5", "--dev", "-0.5", "--test", "0"], "between 0 and 1"),
        (["--set", "split.max_component=2"], "max_component"),
        (["--set", "split.jacard=2"], "jacard"),
        (["--set", "split.link=[article]"], "no table has a column 'article'"),
        (["--set", "neardup.jaccard=high"], "neardup.jaccard"),
        (["--set", "neardup.keeper=best"], "no setting 'neardup.keeper'"),
        (["--set", "split.table=corpus"], "split.table"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    src = write_rows(tmp_path / "rows.jsonl", parallel_set())
    code, out, err = cli("split", "--src", src, "--out", tmp_path / "out", "--store", tmp_path / "store", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("src", ["nowhere", "jsonl:nowhere.jsonl", "nowhere/rows.jsonl", "."])
def test_a_source_that_is_not_there(tmp_path: Path, src: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SourceError, DsbuildError)):
        split(src, train=1, dev=0, test=0, out=tmp_path / "out", store=tmp_path / "store")


def test_a_damaged_release_is_no_source(tmp_path: Path, folder: Path) -> None:
    source = tmp_path / "release"
    shutil.copytree(folder / "out", source)
    next(source.glob("en-documents/dev-*")).write_bytes(b"")
    with pytest.raises(SourceError, match="changed since"):
        split(str(source), train=1, dev=0, test=0, out=tmp_path / "out", store=tmp_path / "store")


def test_a_query_and_its_translations_are_one_row_and_a_link_in_one_language_links_them_in_all(tmp_path: Path) -> None:
    texts = list(LINES)[:14]
    queries = {f"q{i:02}": text for i, text in enumerate(texts)}
    source = write_set(
        tmp_path / "set", [("d", "", texts[0])], queries, {"train": [(name, "d", 1) for name in queries]}
    )
    # The Hindi translation makes one of two queries that have nothing in common in English.
    changed = {(texts[9], "hi"): LINES[texts[10]][0] + "!"}
    make(tmp_path, source, write_memory(tmp_path / "memory.tsv", changed=changed), ("hi", "es"))
    settings = ["split.official=ignore", "split.follow=none"]
    found = split(
        str(tmp_path / "out"),
        train=0.5,
        dev=0.3,
        test=0.2,
        settings=settings,
        out=tmp_path / "split",
        store=tmp_path / "store",
    )
    placed = where(tmp_path / "split", "queries", "query_id")
    for lang in ("en", "hi", "es"):
        assert {row["query_id"] for row in rows(tmp_path / "split", f"{lang}-queries/*")} == set(queries)
    component = {row["query_id"]: row["component"] for row in rows(tmp_path / "split", "es-queries/*")}
    assert component["q10"] == component["q09"] == "queries:q09"
    assert placed["q09"] == placed["q10"]
    assert found["findings"]["components"] == 13
    assert found["findings"]["rows"] == 14
    code, out, err = cli("verify", tmp_path / "split")
    assert code == 0, out + err


def test_official_splits_of_a_retrieval_set(retrieval: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(retrieval / "set", source)
    header, *judged = (source / "qrels" / "train.tsv").read_text("utf-8").splitlines()
    held = [line for line in judged if line.split("\t")[0] in ("q30", "q1", "q7")]
    for name, lines in (("test", held), ("train", [line for line in judged if line not in held])):
        (source / "qrels" / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n", "utf-8")
    found = split(f"beir:{source}", train=1, dev=0, test=0, lang="en", out=tmp_path / "out", store=tmp_path / "store")
    placed = where(tmp_path / "out", "queries", "query_id")
    assert {name for name, part in placed.items() if part == "test"} == {"q30", "q1", "q7"}
    assert set(placed) == {f"q{i}" for i in range(60)} - {"q0", "q31"}
    gone = [row for row in rows(tmp_path / "out", "dropped/verdicts-*") if row["outcome"] != "flagged"]
    verdicts = {(row["table"], row["id"], row["rule"], row["detail"]) for row in gone}
    assert verdicts == {
        ("queries", "q0", "leaked_into", "queries:q30"),
        ("queries", "q31", "leaked_into", "queries:q1"),
        ("qrels", "q0\td0", "query_dropped", "query"),
        ("qrels", "q31\td31", "query_dropped", "query"),
    }
    assert found["languages"]["en"]["qrels"] == {"train": 56, "test": 3, "dropped": 2}
    code, out, err = cli("verify", tmp_path / "out")
    assert code == 0, out + err


def test_a_release_shows_no_path(folder: Path) -> None:
    for path in (folder / "out").rglob("*"):
        if path.suffix in (".json", ".yaml", ".md"):
            assert str(folder) not in path.read_text("utf-8")


@pytest.mark.parametrize("more", [{"lang": "en"}, {"limit": 3}])
def test_a_release_is_read_as_it_is(folder: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="leave --lang, --limit"):
        split(str(folder / "out"), train=1, dev=0, test=0, out=tmp_path / "out", store=tmp_path / "store", **more)


def test_a_recipe_runs_as_the_command_does(tmp_path: Path) -> None:
    from tests.small_set import cli, write_set

    source = write_set(tmp_path / "set", qrels={"train": [("q1", "d1", 1)]})
    (tmp_path / "split.yaml").write_text(
        f"build: split\nsource: {{src: 'beir:{source}', lang: en}}\nshares: {{train: 0.5, dev: 0.25, test: 0.25}}\n"
        "split: {official: ignore}\n",
        "utf-8",
    )
    store = tmp_path / "store"
    assert cli("plan", tmp_path / "split.yaml", "--store", store)[0] == 0
    code, out, err = cli("run", tmp_path / "split.yaml", "--store", store, "--out", tmp_path / "out")
    assert code == 0, err
    assert "release:" in out
    assert cli("verify", tmp_path / "out")[0] == 0
