"""Publishing to a Hub that fails, limits, breaks off, lies or is changed by another; and a publication that is killed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from dsbuild import hub as hub_client
from dsbuild.builders.releases import verification
from dsbuild.builders.releases.publish import publish
from dsbuild.builders.releases.remote import verify_remote
from dsbuild.hub import HubError
from tests import small_set
from tests.hub_server import Answer, HubServer
from tests.published import NAME, assert_holds, environment, loopback, process, release_folder

# The client's own upload of large files uses an argument that its HTTP library is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return release_folder(tmp_path_factory.getbasetemp(), "1.0.0")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    # That a release is in order is checked first, and tested elsewhere.
    monkeypatch.setattr(verification, "verify", lambda folder: {"checked": {}, "problems": []})
    with loopback(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited, without waiting; the client's own waits too."""
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def fails(pattern, *answers):
    """A fault: requests whose path matches get these answers, then the server answers again."""
    left = list(answers)
    return lambda method, address: left.pop(0) if left and method != "GET" and re.search(pattern, address) else None


@pytest.mark.parametrize("point", ["publish-before-commit", "publish-before-tag", "publish-before-check"])
def test_killed_then_finished(first, tmp_path, point):
    with HubServer() as server:
        killed = process(server, tmp_path, "publish", first, "--repo", NAME, DSBUILD_FAILPOINT=point)
        assert killed.returncode == -9
        sent = server.count("PUT /lfs/")
        made = process(server, tmp_path, "publish", first, "--repo", NAME)
        assert made.returncode == 0, made.stderr
        assert_holds(server, "v1.0.0", first)
        assert [title for _, title in server.repositories[NAME].log] == ["initial commit", "Release 1.0.0"]
        assert server.count("PUT /lfs/") == sent > 0, "what was uploaded is not uploaded again"


def test_killed_in_the_middle_of_the_uploads(first, tmp_path):
    with HubServer() as server:
        puts, second_run = [], []

        def kill(method, path):
            if path.endswith("/refs") and len(puts) > 3 and not second_run:
                second_run.append((len(server.requests), set(server.store)))
            puts.extend([path] if method == "PUT" else [])
            if len(puts) < 4 or second_run:
                return None
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)
            return Answer(status=0)

        server.fault = kill
        with subprocess.Popen(
            [sys.executable, "-m", "dsbuild", "publish", first, "--repo", NAME], cwd=tmp_path,
            env=environment(server, tmp_path),
        ) as running:  # fmt: skip
            assert running.wait(timeout=60) == -signal.SIGKILL
        made = process(server, tmp_path, "publish", first, "--repo", NAME)
        assert made.returncode == 0, made.stderr
        assert_holds(server, "v1.0.0", first)
        ((begin, stored),) = second_run
        sent = {path.removeprefix("/lfs/") for method, path in server.requests[begin:] if method == "PUT"}
        assert (len(stored), sent & stored, sent | stored) == (3, set(), set(server.store))


def test_stale_parent(hub, first):
    publish(first, NAME, endpoint=hub.url, dry_run=True)
    changed = []

    def somebody_else(method, path):
        if method == "POST" and "/commit/" in path and not changed:
            repository = hub.repositories[NAME]
            repository.head = repository.add(dict(repository.commits[repository.head]), "by another")
            changed.append(repository.head)

    hub.fault = somebody_else
    with pytest.raises(HubError, match="changed while this was published .* run the same command again") as caught:
        publish(first, NAME, endpoint=hub.url)
    assert "\n" not in str(caught.value)
    assert hub.repositories[NAME].head == changed[0]
    assert not hub.repositories[NAME].tags
    assert publish(first, NAME, endpoint=hub.url)["state"] == "published"


@pytest.mark.parametrize("where", ["/repos/create", "/preupload/", "/objects/batch", "/lfs/", "/commit/", "/tag/"])
def test_errors_of_the_server_pass(hub, first, waits, where):
    hub.fault = fails(where, Answer({"error": "busy"}, 500), Answer({"error": "busy"}, 503))
    assert publish(first, NAME, endpoint=hub.url)["state"] == "published"
    assert len(waits) >= 2
    assert_holds(hub, "v1.0.0", first)


@pytest.mark.parametrize("where", ["/commit/main", "/tag/"])
def test_lost_answer_is_not_done_twice(hub, first, waits, where):
    def work_done(method, path):
        if where in path and path not in seen:
            seen.add(path)
            hub.lost.append(path)

    seen = set()
    hub.fault = work_done
    assert publish(first, NAME, endpoint=hub.url)["state"] == "published"
    assert seen
    assert [title for _, title in hub.repositories[NAME].log] == ["initial commit", "Release 1.0.0"]
    assert_holds(hub, "v1.0.0", first)


@pytest.mark.parametrize("where", ["/commit/", "/preupload/", "/tag/"])
def test_rate_limit_is_waited_for(hub, first, waits, where):
    limited = Answer(
        {"error": "slow"}, 429, {"RateLimit": '"api";r=0;t=41', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'}
    )
    hub.fault = fails(where, limited)
    said = []
    assert publish(first, NAME, endpoint=hub.url, say=said.append)["state"] == "published"
    assert [wait for wait in waits if wait >= 1] == [42]
    assert any("429" in line for line in said)


def test_server_that_stays_broken(hub, first, waits):
    hub.fault = lambda method, path: Answer({"error": "down"}, 500) if "/commit/" in path else None
    code, out, err = small_set.cli("publish", first, "--repo", NAME, "--endpoint", hub.url)
    assert (code, out, "Traceback" in err) == (2, "", False)
    last = err.splitlines()[-1]
    assert last.startswith("dsbuild: org/small: the Hub would not take the commit (500")
    assert not hub.repositories[NAME].tags


def test_broken_upload(hub, first, waits):
    hub.fault = lambda method, path: Answer(status=0) if path.startswith("/lfs/") else None
    with pytest.raises(HubError, match="did not take the files") as caught:
        publish(first, NAME, endpoint=hub.url)
    assert "\n" not in str(caught.value)
    assert len(hub.repositories[NAME].log) == 1
    hub.fault = lambda method, path: None
    assert publish(first, NAME, endpoint=hub.url)["state"] == "published"


def test_connection_that_breaks_once(hub, first, waits):
    hub.fault = fails(r"^/(lfs|api/.*/commit)/", Answer(status=0), Answer(status=0))
    assert publish(first, NAME, endpoint=hub.url)["state"] == "published"


@pytest.mark.parametrize("ending", [".parquet", "README.md"])
def test_hub_that_lies_about_a_digest(hub, first, ending):
    name = next(
        path.relative_to(first).as_posix() for path in sorted(first.rglob("*")) if path.as_posix().endswith(ending)
    )
    lie = "0" * (64 if ending == ".parquet" else 40)
    hub.lies[name] = lie
    with pytest.raises(HubError, match=f"does not hold what was sent: {name}: another digest; nothing was tagged"):
        publish(first, NAME, endpoint=hub.url)
    assert not hub.repositories[NAME].tags
    hub.lies.clear()
    publish(first, NAME, endpoint=hub.url)
    hub.lies[name] = lie
    found = verify_remote(f"{NAME}@v1.0.0", hub.url)
    assert found["problems"] == [f"{name}: another digest (as the Hub lists it)"]
    with pytest.raises(HubError, match="points elsewhere"):
        publish(first, NAME, endpoint=hub.url)


def test_file_that_changes_during_the_upload(hub, first, tmp_path, monkeypatch):
    copy = shutil.copytree(first, tmp_path / "copy")
    victim = next(copy.glob("hi-corpus/*.parquet"))
    grouped = hub_client._groups

    def changing(files):
        victim.write_bytes(victim.read_bytes() + b"x")
        return grouped(files)

    monkeypatch.setattr(hub_client, "_groups", changing)
    with pytest.raises(HubError, match="changed while it was uploaded; nothing was published"):
        publish(copy, NAME, endpoint=hub.url)
    assert len(hub.repositories[NAME].log) == 1


def test_groups_of_uploads(tmp_path):
    sizes = [600 << 20, 600 << 20, *[1] * 300]
    made = [hub_client.LocalFile(str(number), tmp_path, size, "") for number, size in enumerate(sizes)]
    assert [len(group) for group in hub_client._groups(made)] == [1, 256, 45]
    assert [file for group in hub_client._groups(made) for file in group] == made


def test_no_answer_is_one_line(hub, first, waits):
    with HubServer() as gone:
        url = gone.url
    with pytest.raises(HubError, match=f"the Hub at {url} did not list its revisions") as caught:
        publish(first, NAME, endpoint=url)
    assert "\n" not in str(caught.value)
    assert "check the address and the network" in str(caught.value)
