"""`croissant.json`: valid for mlcroissant, which reads the rows by it; RAI, PROV and digests are there."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dsbuild import parquet, release
from dsbuild.builders.releases.facts import _asks, render_croissant, render_facts, validate_croissant
from dsbuild.cards.croissant import CONFORMS_TO, _usage
from dsbuild.errors import MissingExtra, ReleaseError
from tests.small_set import cli, make, rows, write_memory, write_set

needs_mlcroissant = pytest.mark.skipif(
    importlib.util.find_spec("mlcroissant") is None, reason="mlcroissant is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("croissant")
    source = write_set(made / "set")
    (source / "README.md").write_text("---\nlicense: cc-by-4.0\nlanguage: en\n---\n", "utf-8")
    make(made, source, write_memory(made / "memory.tsv"), ("hi",), ["engine.origin=machine"])
    answers = made / "answers.yaml"
    answers.write_text("uses: {unfit: 'Not for \"medicine\" <b>'}\nmotivation: {creators: A team}\n", "utf-8")
    manifest = release.read_manifest(made / "out")
    manifest["release"] = {"date": "2026-01-02", "previous": {"version": "0.9.0", "manifest_sha256": "0" * 64}}
    for render in (render_facts, render_croissant):
        render(made / "out", manifest, answers)
    return made / "out"


@pytest.fixture(scope="module")
def data(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "croissant.json").read_text("utf-8"))
    return found


@needs_mlcroissant
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlcroissant_finds_nothing_wrong(folder: Path) -> None:
    assert validate_croissant(folder) == []


@needs_mlcroissant
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlcroissant_reads_the_rows(folder: Path) -> None:
    import mlcroissant

    read = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    for config in ("hi-queries", "en-corpus"):
        found = [row[f"{config}/text"].decode() for row in read.records(config)]
        assert sorted(found) == sorted(row["text"] for row in rows(folder, f"{config}/*"))


@needs_mlcroissant
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_is_wrong_is_said(folder: Path, tmp_path: Path, data: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(data))
    broken["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"] = "nowhere"
    (tmp_path / "croissant.json").write_text(json.dumps(broken), "utf-8")
    assert validate_croissant(tmp_path)


@needs_mlcroissant
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_vocabulary_is_that_of_the_library(data: dict[str, Any]) -> None:
    import mlcroissant

    context = mlcroissant.Metadata(
        ctx=mlcroissant.Context(conforms_to=CONFORMS_TO[0]), name="x", distribution=[], record_sets=[]
    ).to_json()["@context"]
    assert context.items() <= data["@context"].items()


def test_files_have_their_digests(folder: Path, data: dict[str, Any]) -> None:
    objects = {one["contentUrl"]: one for one in data["distribution"] if one["@type"] == "cr:FileObject"}
    paths = {path.relative_to(folder).as_posix(): path for path in folder.glob("*-*/*.parquet")}
    assert objects.keys() == paths.keys()
    for name, path in paths.items():
        assert objects[name]["sha256"] == parquet.sha256(path)
        assert objects[name]["contentSize"] == f"{path.stat().st_size} B"


def test_responsible_use_and_provenance(data: dict[str, Any]) -> None:
    assert data["conformsTo"] == list(CONFORMS_TO)
    assert data["rai:dataLimitations"].endswith('Not for "medicine" <b>')
    assert "machine-translated" in data["rai:dataCollection"]
    assert "rai:dataSocialImpact" not in data  # nobody answered it
    source, before = data["prov:wasDerivedFrom"]
    assert all("sha256:" in value for value in source["prov:value"])
    assert before["@id"].endswith(":0.9.0")
    agents = {one["@id"] for one in data["prov:wasAttributedTo"]}
    assert {one["@id"] for one in data["prov:wasGeneratedBy"]["prov:wasAssociatedWith"]} == agents
    assert (data["datePublished"], data["license"]) == ("2026-01-02", "https://creativecommons.org/licenses/by/4.0/")


def test_terms_of_rows_sources_and_models(data: dict[str, Any]) -> None:
    rows, source, model = data["usageInfo"]
    assert rows["name"] == "Licence of the rows: cc-by-4.0"
    assert rows["@type"] == ["CreativeWork", "odrl:Offer"]
    assert [one["odrl:action"]["@id"] for one in rows["odrl:permission"]["odrl:duty"]] == ["cc:Attribution"]
    assert "odrl:prohibition" not in rows
    assert source["url"] == "https://creativecommons.org/licenses/by/4.0/"
    # Nobody named terms of the memory: nothing is permitted in their name.
    assert model["@type"] == source["@type"] == "CreativeWork"
    assert model["description"].startswith("what it asks is not known - ")


@pytest.mark.parametrize(
    ("said", "duties", "forbidden"),
    [
        ("cc-by-nc-sa-4.0", ["cc:Attribution", "cc:ShareAlike"], ["cc:CommercialUse"]),
        ("cc-by-nd-4.0", ["cc:Attribution"], ["cc:DerivativeWorks"]),
        ("cc0-1.0", [], []),
    ],
)
def test_what_a_licence_asks_is_an_offer(said: str, duties: list[str], forbidden: list[str]) -> None:
    terms = {"rows": _asks(said), "sources": {}, "models": {}}
    (found,) = _usage(terms, {})
    actions = [
        [one["odrl:action"]["@id"] for one in part]
        for part in (found["odrl:permission"].get("odrl:duty", []), found.get("odrl:prohibition", []))
    ]
    assert actions == [duties, forbidden]


def test_what_people_say_of_the_terms_is_text() -> None:
    terms = {"rows": _asks("Ours: non-commercial research only"), "sources": {}, "models": {}}
    rows, people = _usage(terms, {"distribution.license": 'Ask "us" <b>', "distribution.third_party": "None"})
    assert (rows["@type"], rows["description"]) == ("CreativeWork", "name the author; no commercial use")
    assert people["description"] == 'Ask "us" <b>\n\nNone'


def test_without_the_library_only_the_check_asks_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    before = (folder / "croissant.json").read_bytes()
    with pytest.raises(MissingExtra, match=r"pip install 'dsbuild\[release\]'"):
        validate_croissant(folder)
    code, _, err = cli("card", "check", folder, "--croissant")
    assert (code, err.count("\n")) == (2, 1)
    assert (folder / "croissant.json").read_bytes() == before


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no croissant\.json"):
        validate_croissant(tmp_path)
