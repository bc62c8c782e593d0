"""`dsbuild generate queries` as a command against a real server with a real small model in it, while either of them is killed.

The quiet run, with nothing wrong, is what every other one is compared with. What was asked is counted in the server's own log.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_set import digests, rows
from tests.story_process import Served, command, run, start, texts, write_passages
from tests.story_server import OTHER_LANGUAGE
from tests.tiny_story_model import write_checkpoint, write_ctranslate2

pytest.importorskip("torch")
pytest.importorskip("transformers")

N = 24
IN_FLIGHT = 2
# Files that say how a release was made: settings and the address of the server.
RECIPE = {"recipe.yaml", "manifest.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stories")
    return write_ctranslate2(write_checkpoint(place / "checkpoint"), place / "ct2")


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Iterator[Served]:
    server = Served(folder, tmp_path / "server").start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def quiet(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the release that is made when nothing goes wrong."""
    place = tmp_path_factory.mktemp("quiet")
    server = Served(folder, place / "server").start()
    try:
        found = run(command(server, place, write_passages(place / "passages.jsonl", texts(N))))
    finally:
        server.kill()
    assert found.returncode == 0, found.stderr
    assert set(server.answered().values()) == {1}
    accounted(place, N)
    return data(place)


def data(place: Path) -> dict[str, str]:
    """Digests of a release without what says how it was made."""
    return {name: one for name, one in digests(place / "out").items() if name not in RECIPE}


def made(place: Path) -> list[dict[str, Any]]:
    return rows(place / "out", "en-queries/*") + rows(place / "out", "dropped/en-queries*")


def accounted(place: Path, n: int) -> None:
    """Every passage has its one query, kept or lost."""
    assert Counter(one["parent_id"] for one in made(place)) == Counter({f"d{k}": 1 for k in range(n)})
    assert len({one["query_id"] for one in made(place)}) == n
    # A table of texts becomes the corpus that its queries are judged on.
    corpus = rows(place / "out", "en-corpus/*")
    assert {one["doc_id"]: one["text"] for one in corpus} == {f"d{k}": text for k, text in enumerate(texts(n))}


@pytest.mark.parametrize("more", [("generator.concurrency=1",), ("generator.concurrency=8", "generator.stream=true")])
def test_the_same_release_whatever_is_in_flight(
    served: Served, quiet: dict[str, str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    source = write_passages(tmp_path / "passages.jsonl", texts(N))
    found = run(command(served, tmp_path, source, *(part for one in more for part in ("--set", one))))
    assert found.returncode == 0, found.stderr
    assert data(tmp_path) == quiet
    assert served.answered().total() == N


def test_the_same_release_through_a_storm(served: Served, quiet: dict[str, str], tmp_path: Path) -> None:
    storm: list[Any] = [429, 500, 503, "drop", "html"]
    served.faults(*({"match": f"number {k},", "do": storm[k % len(storm)], "times": 1 + k % 3} for k in range(N)))
    found = run(command(served, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N))))
    assert found.returncode == 0, found.stderr
    assert data(tmp_path) == quiet
    assert served.answered() == Counter(dict.fromkeys(served.answered(), 1))
    assert len(served.requests()) == N + sum(1 + k % 3 for k in range(N))


def test_a_server_that_dies_again_and_again_is_waited_for(folder: Path, quiet: dict[str, str], tmp_path: Path) -> None:
    server = Served(folder, tmp_path / "server", again=True)
    server.faults({"match": "passage", "after": 9, "do": "die"})
    server.start()
    try:
        found = run(command(server, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N))))
    finally:
        server.kill()
    assert found.returncode == 0, found.stderr
    assert server.starts >= 3
    assert data(tmp_path) == quiet
    lost = server.starts * (IN_FLIGHT - 1)  # answers on their way when it died
    assert N <= server.answered().total() <= N + lost


def test_the_server_is_killed_and_comes_back(served: Served, quiet: dict[str, str], tmp_path: Path) -> None:
    with start(command(served, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N)))) as building:
        served.wait_for(5)
        served.kill()
        time.sleep(0.3)
        served.start()
        said = building.communicate(timeout=120)
    assert building.returncode == 0, said
    assert data(tmp_path) == quiet
    assert served.answered().total() <= N + IN_FLIGHT


def test_the_build_is_killed_again_and_again(served: Served, quiet: dict[str, str], tmp_path: Path) -> None:
    line = command(served, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N)))
    draw = random.Random(5)
    kills = 0
    for wanted in (4, 11, 18):
        with start(line) as building:
            served.wait_for(wanted)
            time.sleep(draw.random() / 20)
            os.kill(building.pid, signal.SIGKILL)
            building.communicate()
        kills += 1
        assert not (tmp_path / "out" / "manifest.json").exists()
    found = run(line)
    assert found.returncode == 0, found.stderr
    assert data(tmp_path) == quiet
    # What was in flight, or had come that moment, is asked again.
    assert N <= served.answered().total() <= N + kills * 2 * IN_FLIGHT
    # Another build of the same questions has nothing to ask.
    before = len(served.lines())
    assert run(command(served, tmp_path / "b", tmp_path / "passages.jsonl", store=tmp_path / "store")).returncode == 0
    assert len(served.lines()) == before
    assert data(tmp_path / "b") == quiet


def test_a_server_that_goes_away_ends_the_build_in_one_line_and_the_next_goes_on(
    served: Served, quiet: dict[str, str], tmp_path: Path
) -> None:
    line = command(
        served, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N)), "--set", "generator.retries=1"
    )
    with start(line) as building:
        served.wait_for(5)
        served.kill()
        _, err = building.communicate(timeout=120)
    assert building.returncode == 2, err
    assert "no server answers" in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    served.start()
    assert run(line).returncode == 0
    assert data(tmp_path) == quiet
    assert served.answered().total() <= N + IN_FLIGHT


def test_two_builds_on_one_store_at_once(served: Served, quiet: dict[str, str], tmp_path: Path) -> None:
    source = write_passages(tmp_path / "passages.jsonl", texts(N))
    lines = [command(served, tmp_path / name, source, store=tmp_path / "store") for name in "ab"]
    with start(lines[0]) as one, start(lines[1]) as other:
        said = [building.communicate(timeout=120) for building in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    assert data(tmp_path / "a") == data(tmp_path / "b") == quiet
    # Each question is asked by one of them, or by both while the other waits for it.
    assert set(served.answered().values()) <= {1, 2}


def test_a_budget_ends_a_build_and_a_larger_one_goes_on(served: Served, quiet: dict[str, str], tmp_path: Path) -> None:
    source = write_passages(tmp_path / "passages.jsonl", texts(N))
    found = run(command(served, tmp_path, source, "--budget-tokens", "3000"))
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)["languages"]["en"]
    usage = [one["usage"] for one in served.lines() if "answered" in one and "passage" in one["said"]]
    used = [one["prompt_tokens"] + one["completion_tokens"] for one in usage]
    assert sum(used) >= 3000 > sum(used) - (2 * IN_FLIGHT + 3) * max(used)
    assert told["problems"] == {"budget": N - len(used)}
    assert told["tokens"]["n_asked"] + told["tokens"]["n_said"] == sum(used)
    assert Counter(one["parent_id"] for one in made(tmp_path)).total() == len(used)
    again = run(command(served, tmp_path / "more", source, "--budget-tokens", "1000000", store=tmp_path / "store"))
    assert again.returncode == 0, again.stderr
    assert data(tmp_path / "more") == quiet
    assert set(served.answered().values()) == {1}


def test_every_passage_ends_kept_dropped_or_failed(served: Served, tmp_path: Path) -> None:
    wrong = {
        "no_json": "not_json", "half_json": "not_json", "no_schema": "not_json", "empty": "empty", "refuse": "refused", "endless": "cut",
        "obey": "schema", 413: "rejected", 500: "unreachable", "drop": "unreachable", "html": "unreachable",
    }  # fmt: skip
    served.faults(*({"match": f"number {k},", "do": do} for k, do in enumerate(wrong)))
    more = ("--set", "generator.retries=1", "--set", "unreachable=fail")
    found = run(command(served, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N)), *more))
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)["languages"]["en"]
    assert told["problems"] == Counter(wrong.values())
    assert (told["asked"], told["answered"], told["failed"]) == (N, N - len(wrong), len(wrong))
    verdicts = {
        one["id"]: one["rule"]
        for one in rows(tmp_path / "out", "dropped/verdicts*")
        if one["stage"].startswith("generate")
    }
    assert verdicts == {f"d{k}": rule for k, rule in enumerate(wrong.values())}
    assert {one["parent_id"] for one in made(tmp_path)} == {f"d{k}" for k in range(len(wrong), N)}
    # What the server did is asked again, what the model said is not.
    served.faults()
    before = served.answered().total()
    assert run(command(served, tmp_path / "b", tmp_path / "passages.jsonl", store=tmp_path / "store")).returncode == 0
    asked_again = list(wrong.values()).count("unreachable")
    assert served.answered().total() == before + asked_again


def test_a_stream_that_hangs_or_never_ends_is_one_lost_passage(served: Served, tmp_path: Path) -> None:
    served.faults(
        {"match": "number 1,", "do": "stall"},
        {"match": "number 2,", "do": "flood"},
        {"match": "number 3,", "do": "half"},
    )
    more = (
        "generator.stream=true",
        "generator.timeout_s=1.5",
        "generator.retries=0",
        "unreachable=fail",
        "sampling.max_tokens=60",
    )
    line = command(
        served,
        tmp_path,
        write_passages(tmp_path / "passages.jsonl", texts(8)),
        *(p for one in more for p in ("--set", one)),
    )
    found = run(line)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["languages"]["en"]["problems"] == {"unreachable": 2, "cut": 1}
    assert {one["parent_id"] for one in made(tmp_path)} == {f"d{k}" for k in (0, 4, 5, 6, 7)}


def test_a_server_that_takes_schemas_as_llama_cpp_does(served: Served, quiet: dict[str, str], tmp_path: Path) -> None:
    served.faults({"do": "json_object"})
    found = run(command(served, tmp_path, write_passages(tmp_path / "passages.jsonl", texts(N))))
    assert found.returncode == 0, found.stderr
    assert {one["schema"] for one in served.requests()} == {"json_object"}
    assert data(tmp_path) == quiet


def test_answers_in_another_language_are_lost_in_the_funnel(served: Served, tmp_path: Path) -> None:
    served.faults({"match": "number 5,", "do": "wrong_language"})
    source = write_passages(tmp_path / "passages.jsonl", texts(8))
    found = run(command(served, tmp_path, source, "--set", "funnel.stages=[form,language]"))
    assert found.returncode == 0, found.stderr
    lost = {one["parent_id"]: one["text"] for one in rows(tmp_path / "out", "dropped/en-queries*")}
    assert lost["d5"] == OTHER_LANGUAGE
    assert OTHER_LANGUAGE not in {one["text"] for one in rows(tmp_path / "out", "en-queries/*")}


def test_the_key_goes_to_the_server_and_nowhere_else(folder: Path, quiet: dict[str, str], tmp_path: Path) -> None:
    key = "sk-0123456789abcdef"
    server = Served(folder, tmp_path / "server", key).start()
    place = tmp_path / "build"
    try:
        line = command(
            server,
            place,
            write_passages(tmp_path / "passages.jsonl", texts(N)),
            "--set",
            "generator.api_key_env=STORY_KEY",
        )
        wrong = run(line, env={**os.environ, "STORY_KEY": key + "x"})
        assert wrong.returncode == 2
        assert "401" in wrong.stderr
        found = run(line, env={**os.environ, "STORY_KEY": key})
    finally:
        server.kill()
    assert found.returncode == 0, found.stderr
    assert data(place) == quiet
    said = wrong.stdout + wrong.stderr + found.stdout + found.stderr
    assert key not in said
    files = [path for path in place.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in files)
    assert not [path for path in files if key.encode() in path.read_bytes()]


@pytest.mark.parametrize("stream", [False, True])
def test_likelihoods_are_those_that_the_server_told(served: Served, tmp_path: Path, stream: bool) -> None:
    line = plain(served, tmp_path, f"generator.stream={stream}")
    found = run([*line, "--set", "funnel.stages=[form,likelihood]", "--set", "funnel.likelihood.top_k=4"])
    assert found.returncode == 0, found.stderr
    told = {
        json.loads(one["said"])["passage"]: one["logprobs"]
        for one in served.lines()
        if "answered" in one and "passage" in one["said"]
    }
    passages = texts(8)
    every = made(tmp_path)
    assert len(every) >= 4
    for one in every:
        scores = told[passages[int(one["parent_id"][1:])]]
        assert one["logprob"] == pytest.approx(sum(scores) / len(scores))
    kept = {one["parent_id"] for one in rows(tmp_path / "out", "en-queries/*")}
    formed = [one for one in every if one["parent_id"] in kept or one["lost_at"] == "likelihood"]
    best = sorted(formed, key=lambda one: -one["logprob"])[:4]
    assert kept == {one["parent_id"] for one in best}


def test_a_server_without_likelihoods_is_told_and_costs_no_row(served: Served, tmp_path: Path) -> None:
    served.faults({"do": "no_logprobs"})
    found = run(
        [*plain(served, tmp_path), "--set", "funnel.stages=[form,likelihood]", "--set", "funnel.likelihood.top_k=4"]
    )
    assert found.returncode == 0, found.stderr
    assert {one["logprob"] for one in made(tmp_path)} == {None}
    assert "funnel step likelihood did not run: no row has the score logprob" in found.stderr


def plain(served: Served, place: Path, *settings: str) -> list[str]:
    """Answers in plain text, with their log-probabilities."""
    prompt = place / "story.prompt.md"
    prompt.write_text("---\nversion: 1\n---\nTell a story.\n", "utf-8")
    said = ("generator.concurrency=2", f"style.prompt_file={prompt}", "sampling.max_tokens=40", *settings)
    source = write_passages(place / "passages.jsonl", texts(8))
    return command(served, place, source, "--style", "inpars", *(part for one in said for part in ("--set", one)))
