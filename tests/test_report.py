"""The report page: numbers counted again from the files, texts escaped, the same bytes again, and read in a real browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dsbuild import release
from dsbuild.builders.releases.report_facts import parts_of, render_report, report_facts
from dsbuild.builders.releases.report_thresholds import length_facts
from dsbuild.cards.plots import lengths
from tests.chromium import MISSING, PROGRAM, Chromium
from tests.small_set import (
    DOCS,
    MARKET,
    QRELS,
    WATER,
    WOOL,
    WOUND,
    cli,
    digests,
    make,
    rows,
    said,
    write_memory,
    write_set,
)

ATTACK = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
URDU = "دریا پہاڑیوں سے نکلتا ہے <b>اور</b> مشرق کی طرف بہتا ہے۔"
LONG = "x1" * 90
DOCUMENTS = [(name, title, f"{text} {ATTACK if name == 'd5' else ''}") for name, title, text in DOCS]


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training set in Hindi and Urdu: one translation hostile markup, one a copy of the source, one far too long."""
    folder = tmp_path_factory.mktemp("translated")
    source = write_set(folder / "set", qrels={"train": QRELS})
    changed = {
        (WOOL, "ur"): "WOOL keeps the body warm",
        (WOUND, "ur"): said(WOUND, "hi"),
        (WOOL, "hi"): f"{said(WOOL, 'hi')} {said(WATER, 'hi')} {said(MARKET, 'hi')}",
        (MARKET, "hi"): ATTACK,
    }
    memory = write_memory(folder / "memory.tsv", changed=changed)
    lines = memory.read_text("utf-8").splitlines()
    urdu = ["ur", *([URDU] * (len(lines) - 1))]
    memory.write_text("".join(f"{line}\t{cell}\n" for line, cell in zip(lines, urdu, strict=True)), "utf-8")
    make(folder, source, memory, ("hi", "ur"), ["bitext.max_length_ratio=1.9"])
    return folder / "out"


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filtered")
    source = write_set(
        folder / "set",
        docs=[*DOCUMENTS, ("tag", "", "12 34 56 78 90 12"), (LONG, "", "9 8 7 6 5 4 3 2 1 0 12")],
        qrels={"train": QRELS},
    )
    code, _, err = cli(
        "filter", "--src", f"beir:{source}", "--profile", "sentence", "--lang", "en", "--out", folder / "out", "--store", folder / "store"
    )  # fmt: skip
    assert code == 0, err
    return folder / "out"


class Outline(HTMLParser):
    """Tags, texts and directions of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("kind", ["translated", "filtered"])
def test_numbers_are_those_of_the_files(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    found = report_facts(folder, release.read_manifest(folder))
    for lang in found["langs"]:
        for table in lang["tables"]:
            name = f"{lang['lang']}-{table['table']}"
            kept, lost = rows(folder, f"{name}/*"), rows(folder, f"dropped/{name}-*")
            steps = table["steps"]
            assert (steps[-1]["rows"], sum(step["lost"] for step in steps)) == (len(kept), len(lost))
            assert all(step["lost"] == sum(step["reasons"].values()) for step in steps)
            sizes = np.array([len(row["text"]) for row in kept])
            assert sum(table["lengths"]["counts"]) + table["lengths"]["empty"] == len(kept)
            if table["lengths"]["quantiles"]:
                sizes = np.sort(sizes[sizes > 0])
                expected = sizes[int(np.ceil(len(sizes) / 2)) - 1]
                assert (table["lengths"]["quantiles"]["median"], table["lengths"]["quantiles"]["longest"]) == (
                    expected,
                    max(sizes),
                )
            scored = [*kept, *(row for row in lost if not row.get("failure"))]
            for rule in table["rules"]:
                values = [row[rule["column"]] for row in scored if row[rule["column"]] is not None]
                assert rule["scored"] == len(values)
                if rule["histogram"]:
                    assert sum(rule["histogram"]["counts"]) == len(values)
                    compare = {"<": lambda v, t: v < t, ">": lambda v, t: v > t, "abs>": lambda v, t: abs(v) > t}[
                        rule["op"]
                    ]
                    assert rule["fails"] == sum(compare(value, rule["threshold"]) for value in values)
                    for step in rule["sweep"]:
                        passing = sum(not compare(value, step["threshold"]) for value in values)
                        assert step["passes_share"] == pytest.approx(passing / len(values))


def test_a_threshold_is_the_one_that_was_used(translated: Path) -> None:
    found = report_facts(translated, release.read_manifest(translated))
    hindi = next(lang for lang in found["langs"] if lang["lang"] == "hi")
    ratio = next(rule for rule in hindi["tables"][0]["rules"] if rule["rule"] == "length_ratio")
    assert (ratio["threshold"], ratio["source"]) == (1.9, "user")
    used = {
        row["rule"]: row["threshold"]
        for row in rows(translated, "dropped/verdicts-*")
        if row["lang"] == "hi" and row["threshold"]
    }
    assert used
    assert all(rule["threshold"] == used[rule["rule"]] for rule in hindi["tables"][0]["rules"] if rule["rule"] in used)


def test_segments_of_both_sides_are_the_texts(translated: Path) -> None:
    found = report_facts(translated, release.read_manifest(translated))
    texts = {
        (name, row["doc_id"]): row["text"]
        for name in ("en", "hi", "ur")
        for row in rows(translated, f"{name}-corpus/*")
    }
    seen = 0
    for lang in found["langs"]:
        for row in lang["tables"][0]["examples"]:
            assert [side["lang"] for side in row["sides"]] == ["en", lang["lang"]]
            for side in row["sides"]:
                field = next((one for one in side["fields"] if one["name"] == "text"), None)
                shown = "".join(part["text"] for part in field["parts"]) if field else ""
                assert shown == texts[side["lang"], row["id"]]
                seen += sum(part["segment"] is not None for part in field["parts"]) if field else 0
    assert seen > 6


def test_parts_are_cut_and_never_overlap() -> None:
    parts = parts_of("abcdefghij", [(0, 4, 0), (3, 6, 1), (8, 99, 2)], limit=9)
    assert [(one["text"], one["segment"]) for one in parts] == [
        ("abcd", 0),
        ("ef", 1),
        ("gh", None),
        ("i", 2),
        ("…", None),
    ]


@pytest.mark.parametrize("kind", ["translated", "filtered"])
def test_strangers_text_is_text_and_the_page_is_alone(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    page = render_report(folder, release.read_manifest(folder))["report.html"]
    found = Outline(page)
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert not {"img", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in found.tags}
    assert not [attrs for _, attrs in found.tags if any(name.startswith("on") or name == "src" for name in attrs)]
    assert all(str(attrs.get("href")).startswith("#") for tag, attrs in found.tags if tag == "a")
    assert not re.search(r"url\(|@import", page)
    assert "&lt;script&gt;" in page


def test_right_to_left_text_says_so(translated: Path) -> None:
    found = Outline(render_report(translated, release.read_manifest(translated))["report.html"])
    urdu = [attrs["dir"] for tag, attrs in found.tags if tag == "p" and attrs.get("lang") == "ur"]
    hindi = [attrs["dir"] for tag, attrs in found.tags if tag == "p" and attrs.get("lang") == "hi"]
    assert "rtl" in urdu
    assert set(hindi) == {"ltr"}


def test_the_command_writes_beside_and_changes_nothing(translated: Path) -> None:
    before = digests(translated)
    code, out, err = cli("report", translated)
    assert (code, err) == (0, "")
    page = translated.parent / "out-report.html"
    assert str(page) in out
    first = page.read_bytes()
    assert cli("report", translated, "--out", page, "--format", "json")[0] == 0
    assert page.read_bytes() == first
    assert digests(translated) == before
    code, _, err = cli("report", translated, "--out", translated / "README.md")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = cli("report", translated.parent / "set")
    assert (code, err.count("\n")) == (2, 1)
    assert digests(translated) == before


def test_certificates_are_shown_where_a_manifest_has_them(filtered: Path) -> None:
    manifest = release.read_manifest(filtered)
    assert "certificates" not in render_report(filtered, manifest)["report.html"]
    more = {"certificates": {"hi": {"recall": 0.98, "n": 120}}, "false_negatives": {"share": 0.031}}
    text = Outline(render_report(filtered, {**manifest, **more})["report.html"]).text
    assert all(part in text for part in ("certificates", "0.98", "false negatives", "0.031"))


def test_a_release_without_source_tables_says_so(translated: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(translated, copy)
    for name in ("en-corpus", "en-queries", "en-qrels"):
        shutil.rmtree(copy / name)
    text = Outline(render_report(copy, release.read_manifest(copy))["report.html"]).text
    assert "without its source tables" in text
    assert pq.ParquetFile(next(copy.glob("hi-corpus/*"))).metadata.num_rows


def test_sections_of_a_build_are_on_the_page(filtered: Path) -> None:
    manifest = {
        **release.read_manifest(filtered),
        "sections": [{"title": f"Certificate {ATTACK}", "text": "12 of 400"}],
    }
    found = Outline(render_report(filtered, manifest)["report.html"])
    assert "Certificate <script>" in found.text
    assert [tag for tag, _ in found.tags].count("script") == 1


@pytest.mark.parametrize("kind", ["translated", "filtered"])
def test_the_page_can_be_read_without_seeing_it(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    tags = Outline(render_report(folder, release.read_manifest(folder))["report.html"]).tags
    names = [tag for tag, _ in tags]
    assert [names.count(tag) for tag in ("h1", "header", "nav", "main", "footer")] == [1] * 5
    assert names.count("caption") == names.count("table") > 1
    assert all(attrs.get("scope") for tag, attrs in tags if tag == "th")
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag == "svg")
    levels = [int(tag[1]) for tag in names if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_segments_of_title_and_text_have_numbers_of_their_own(translated: Path) -> None:
    page = report_facts(translated, release.read_manifest(translated))
    corpus = next(table for one in page["langs"] for table in one["tables"] if table["table"] == "corpus")
    titled = next(row for row in corpus["examples"] if len(row["sides"][0]["fields"]) == 2)
    for side in titled["sides"]:
        title, text = (
            {part["segment"] for part in field["parts"] if part["segment"] is not None} for field in side["fields"]
        )
        assert title
        assert text
        assert not title & text


def test_one_split_is_not_told_as_a_share_of_itself(filtered: Path) -> None:
    (page,) = render_report(filtered, release.read_manifest(filtered)).values()
    assert "Splits: " not in page
    assert "Filtered from set" in page
    assert "licence of the rows: " in page


def test_labels_of_an_axis_of_lengths_stand_apart() -> None:
    """Of texts nearly alike, and a few far longer ones in a last bin that says so."""
    sizes = np.zeros(16_000, np.int64)
    sizes[130:281] = 2
    sizes[15_000] = 1
    drawn = lengths(length_facts(sizes, None))
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle">([\d,]+|more)</text>', drawn)
    places = [float(x) for x, _, _ in labels]
    assert labels[-1][2] == "more"
    assert len(labels) > 3
    assert min(later - earlier for earlier, later in pairwise(places)) >= 40


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
@pytest.mark.parametrize("kind", ["report", "dry"])
def test_long_ids_do_not_make_a_page_wider_than_a_telephone(filtered: Path, kind: str) -> None:
    page = filtered.parent / f"{kind}.html"
    if kind == "report":
        page.write_text(render_report(filtered, release.read_manifest(filtered))["report.html"], "utf-8")
    else:
        page.write_bytes((filtered / "report.html").read_bytes())
    assert LONG in page.read_text("utf-8")
    with Chromium(390) as browser:
        browser.open(page.as_uri())
        browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.requests == [page.as_uri()]
        assert browser.errors == []


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_a_browser_shows_it_without_asking_for_anything(translated: Path, width: int, dark: bool) -> None:
    page = translated.parent / "page.html"
    page.write_text(render_report(translated, release.read_manifest(translated))["report.html"], "utf-8")
    with Chromium(width, dark=dark) as browser:
        browser.open(page.as_uri())
        assert browser.requests == [page.as_uri()]
        assert browser.errors == []
        assert browser.run("document.title").endswith("report")
        assert browser.run("document.documentElement.scrollWidth") == width
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(20, 24, 30)") is dark
        # The script that is allowed by its digest sorts and hides.
        browser.run("document.querySelector('table.sorts th button').click()")
        assert browser.run("document.querySelector('th[aria-sort]').textContent") == "language"
        browser.run("(s => { s.value = 'ur'; s.dispatchEvent(new Event('change')) })(document.querySelector('select'))")
        assert browser.run("[...document.querySelectorAll('details.lang')].map(one => one.hidden)") == [True, False]
        assert browser.run("document.querySelectorAll('p[lang=ur]').length") > 0
