"""Answers in the store: kept once, found again, by several processes, after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dsbuild.answers import AnswerStore, digest_of
from dsbuild.errors import StoreError
from dsbuild.language_model import Call, Message, Said, Sampling

WRITER = """
import sys
from pathlib import Path
from dsbuild.answers import AnswerStore
from dsbuild.language_model import Said
store = AnswerStore(Path(sys.argv[1]), {"model": "m"})
for number in range(int(sys.argv[2])):
    said = store.put(number.to_bytes(16, "big"), Said(f"{sys.argv[3]} {number}"))
    print(said.text, flush=True)
"""


def call(text: str = "a", **more) -> Call:
    return Call((Message("system", "say it"), Message("user", text)), **more)


def test_what_was_said_is_found_again_as_it_came(tmp_path: Path) -> None:
    said = Said("नदी \ud83d", None, "cut", "why", 3, 4, -0.5)
    with AnswerStore(tmp_path, {"model": "m"}) as store:
        assert store.get(digest_of(call())) is None
        assert store.put(digest_of(call()), said) == said
        assert store.put(digest_of(call()), Said("another")) == said
    with AnswerStore(tmp_path, {"model": "m"}) as store:
        assert (store.get(digest_of(call())), len(store)) == (said, 1)
    with AnswerStore(tmp_path, {"model": "other"}) as store:
        assert store.get(digest_of(call())) is None


def test_whatever_decides_an_answer_is_in_its_digest() -> None:
    other = [
        call("b"),
        Call((Message("user", "say it"), Message("user", "a"))),
        call(seed=1),
        call(schema={"type": "object"}),
        call(logprobs=True),
        call(continuation=""),
        call(sampling=Sampling(temperature=0.5)),
        call(sampling=Sampling(top_p=0.5)),
        call(sampling=Sampling(max_tokens=5)),
        call(sampling=Sampling(stop=("x",))),
    ]
    assert len({digest_of(one) for one in [call(), *other]}) == len(other) + 1
    assert digest_of(call(schema={"a": 1, "b": 2})) == digest_of(call(schema={"b": 2, "a": 1}))


def test_two_processes_keep_one_answer_each(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "200"]
    running = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two")]
    seen = [process.communicate()[0].splitlines() for process in running]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 200
    with AnswerStore(tmp_path, {"model": "m"}) as store:
        assert len(store) == 200


def test_a_kill_loses_nothing_that_was_handed_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), "100000", "x"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    seen = 50 + len([line for line in process.stdout.read().split("\n")[:-1] if line])
    process.wait()
    process.stdout.close()
    with AnswerStore(tmp_path, {"model": "m"}) as store:
        assert seen <= len(store) <= seen + 1
        assert all(store.get(number.to_bytes(16, "big")) == Said(f"x {number}") for number in range(seen))


def test_threads_share_a_store(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, {}) as store:

        def write(start: int) -> None:
            for number in range(start, start + 50):
                store.put(number.to_bytes(16, "big"), Said(str(number)))

        threads = [threading.Thread(target=write, args=(start,)) for start in (0, 25, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store) == 100


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, {}) as store:
        path = store.path
    path.write_bytes(b"this is no data base, whatever its name says" * 100)
    with pytest.raises(StoreError, match=r"sqlite: damaged .*delete it"):
        AnswerStore(tmp_path, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        AnswerStore(tmp_path / "file", {})


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, {}) as store:
        pages = sqlite3.connect(store.path).execute("PRAGMA page_count").fetchone()[0]
        store._held.execute(f"PRAGMA max_page_count = {pages}")

        def fill() -> None:
            for number in range(100):
                store.put(number.to_bytes(16, "big"), Said("x" * 5000))

        with pytest.raises(StoreError, match="disk full"):
            fill()
