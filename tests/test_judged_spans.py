import json
from pathlib import Path

import pytest

from dsbuild.builders.projection.judged_spans import judge_projection
from dsbuild.builders.releases.report_facts import write_report
from dsbuild.cards.curves import coverage_precision
from dsbuild.errors import ReleaseError, SourceError
from tests.small_cipher import sets
from tests.small_set import cli


def write(path, items):
    rows = [
        {
            "id": item.id, "text": item.text, "lang": item.lang,
            "spans": [{"id": span.span_id, "start": span.start, "end": span.end, "label": span.label} for span in item.spans],
        }
        for item in items
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return f"spans:{path}"


@pytest.fixture
def files(tmp_path):
    pairs, gold = sets(60)
    return write(tmp_path / "en.jsonl", [pair.source for pair in pairs]), write(tmp_path / "es.jsonl", gold)


def made(folder, source, gold):
    code, _, err = cli(
        "project", "--src", source, "--target", gold, "--langs", "es", "--method", "auto", "--set", "auto.aligner=built-in",
        "--out", folder / "out", "--store", folder / "store", "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    return folder / "out"


def test_a_projected_release_is_judged(files, tmp_path):
    source, gold = files
    out = made(tmp_path, source, gold)
    plot = tmp_path / "curve.svg"
    code, printed, err = cli(
        "evaluate", "projection", "--gold", gold, "--pred", out, "--plot", plot, "--format", "json"
    )
    assert code == 0, err
    found = json.loads(printed)
    assert found["exact"]["f1"] > 0.6
    assert found["overlap"]["f1"] >= found["exact"]["f1"]
    assert set(found["exact"]) == set(found["head"]) == {"precision", "recall", "f1"}
    assert found["languages"]["es"]["labels"]["THING"]["gold"] == 120
    assert found["asked"] == 120
    kept = round(found["coverage"] * 120)
    assert kept + found["null"] + found["rejected"] + found["low_confidence"] == 120
    assert found["calibration"]["n"] > 0
    assert plot.read_text("utf-8").startswith("<svg")
    code, text, _ = cli("evaluate", "projection", "--gold", gold, "--pred", out)
    assert code == 0
    assert "es THING" in text


def test_a_file_is_judged_against_a_file(files, tmp_path):
    _, gold = files
    found = judge_projection([gold], gold)
    assert (found["exact"]["f1"], found["misses"], found["extras"]) == (1.0, 0, 0)
    _, items = sets(60)
    half = write(tmp_path / "half.jsonl", items[:30])
    found = judge_projection([gold], half)
    assert found["exact"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3, abs=1e-6)}
    assert "30 of its 60 texts" in found["notes"][0]
    assert "30 texts are not in" in judge_projection([half], gold)["notes"][0]


def test_what_does_not_belong_together_is_one_line(files, tmp_path):
    source, gold = files
    with pytest.raises(SourceError, match="the text differs"):
        judge_projection([gold], source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"spans/\*\.parquet"):
        judge_projection([gold], str(tmp_path / "empty"))
    code, _, err = cli("evaluate", "projection", "--gold", gold, "--pred", source, "--match", "name")
    assert (code, err.count("\n")) == (2, 1)


def test_an_empty_curve_is_drawn():
    assert "no answer has a confidence" in coverage_precision([])
    drawn = coverage_precision([{"confidence": 0.9, "coverage": 0.5, "precision": 0.99}])
    assert "precision 99.0 % at coverage 50.0 %" in drawn


def test_the_report_of_a_release_shows_the_scores_and_the_curve(files, tmp_path):
    source, gold = files
    out = made(tmp_path, source, gold)
    judge_projection([gold], str(out))
    saved = json.loads((tmp_path / "out-projection.json").read_text("utf-8"))
    assert saved["measured_with"] == [Path(gold.partition(":")[2]).name]
    assert str(tmp_path) not in json.dumps(saved)
    page = report_of(out)
    assert "Against gold" in page
    assert '<polyline class="curve"' in page
    # Scores of another build are not this one's.
    (tmp_path / "out-projection.json").write_text(json.dumps({**saved, "build_key": "other"}), "utf-8")
    assert "Against gold" not in report_of(out)
    (tmp_path / "out-projection.json").write_text(json.dumps({**saved, "languages": 3}), "utf-8")
    with pytest.raises(ReleaseError, match="not what dsbuild evaluate projection writes"):
        report_of(out)
    (tmp_path / "out-projection.json").write_text(json.dumps({**saved, "curve": [{"confidence": 1}]}), "utf-8")
    with pytest.raises(ReleaseError, match="cannot be drawn"):
        report_of(out)


def report_of(folder):
    return Path(write_report(folder, None)["report"]).read_text("utf-8")
