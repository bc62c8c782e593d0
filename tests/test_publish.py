"""Publishing: the real client of the Hub against a Hub on the loopback address, in this process and in processes of their own."""

import json
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import constants

from dsbuild.builders.releases.publish import publish
from dsbuild.errors import ReleaseError
from dsbuild.hub import HubError
from tests import small_set
from tests.hub_server import TOKEN, Answer, Blob, HubServer
from tests.published import NAME, assert_holds, loopback, process, release_folder

# The client's own upload of large files uses an argument that its HTTP library is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return release_folder(tmp_path_factory.getbasetemp(), "1.0.0")


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A later version of the same set: one language and one passage fewer, so files of the first are stale."""
    return release_folder(tmp_path_factory.getbasetemp(), "2.0.0", ("hi",), len(small_set.DOCS) - 1)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with loopback(tmp_path, monkeypatch) as server:
        yield server


def test_large_files_end_to_end(first, tmp_path):
    with HubServer() as server:
        made = process(server, tmp_path, "publish", first, "--repo", NAME, "--format", "json")
        assert made.returncode == 0, made.stderr
        found = json.loads(made.stdout)
        repository = server.repositories[NAME]
        assert (found["state"], found["commit"]) == ("published", repository.head)
        assert repository.tags == {"v1.0.0": repository.head}
        assert [title for _, title in repository.log] == ["initial commit", "Release 1.0.0"]
        assert_holds(server, "v1.0.0", first)

        configs = json.loads((first / "manifest.json").read_text("utf-8"))["configs"]
        wanted = {
            f"{name}/{split}": [one["rows"], small_set.rows(first, f"{name}/{split}-*.parquet")]
            for name, config in configs.items() for split, one in config["splits"].items()
        }  # fmt: skip
        (tmp_path / "wanted.json").write_text(json.dumps({"repository": NAME, "splits": wanted}), "utf-8")
        loaded = subprocess.run(
            [sys.executable, "-c", _LOAD, "wanted.json"], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "PATH": ""},
        )  # fmt: skip
        assert loaded.returncode == 0, loaded.stderr
        assert int(loaded.stdout) == len(wanted) >= 6

        log = len(server.requests)
        again = process(server, tmp_path, "publish", first, "--repo", NAME)
        assert again.returncode == 0, again.stderr
        assert "already published" in again.stdout
        assert {method for method, _ in server.requests[log:]} == {"GET"}

        verified = process(server, tmp_path, "verify", f"{NAME}@v1.0.0", "--format", "json")
        assert verified.returncode == 0, verified.stderr + verified.stdout
        assert json.loads(verified.stdout)["problems"] == []
        for one in (made, again, verified):
            assert TOKEN not in one.stdout + one.stderr
        assert not any(TOKEN.encode() in body for body in server.bodies)


_LOAD = """
import json, sys
from datasets import load_dataset
wanted = json.load(open(sys.argv[1]))
for name, (number, rows) in wanted["splits"].items():
    config, split = name.split("/")
    found = load_dataset(wanted["repository"], config, split=split, revision="v1.0.0")
    assert (len(found), found.to_list()) == (number, rows), name
print(len(wanted["splits"]))
"""


def test_xet_end_to_end(first, tmp_path):
    store = tmp_path / "cas"
    store.mkdir()
    with HubServer(cas=f"local://{store}") as server:
        made = process(server, tmp_path, "publish", first, "--repo", NAME, xet=True)
        assert made.returncode == 0, made.stderr
        assert_holds(server, "v1.0.0", first)
        assert server.count("xet-write-token")
        assert not server.count("PUT /lfs/")
        stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        assert stored > sum(path.stat().st_size for path in first.rglob("*-corpus/*.parquet")) / 2
        again = process(server, tmp_path, "publish", first, "--repo", NAME, xet=True)
        assert "already published" in again.stdout, again.stderr


def test_dry_run_changes_nothing(hub, first, second, monkeypatch):
    planned = publish(first, NAME, endpoint=hub.url, dry_run=True)
    assert not hub.repositories
    kinds = [one["operation"] for one in planned["operations"]]
    assert (kinds[0], kinds[-3:]) == ("create repository", ["commit", "tag", "compare digests"])
    made = publish(first, NAME, endpoint=hub.url)
    assert made["operations"] == planned["operations"]
    asked = len(hub.requests)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    code, out, err = small_set.cli("publish", second, "--repo", NAME, "--endpoint", hub.url, "--dry-run")
    assert (code, "nothing was changed" in out) == (0, True), err
    assert {method for method, _ in hub.requests[asked:]} <= {"GET", "HEAD"}
    stale = {
        path.relative_to(first).as_posix()
        for path in first.rglob("*")
        if path.is_file() and not (second / path.relative_to(first)).exists()
    }
    assert {line.removeprefix("delete ") for line in out.splitlines() if line.startswith("delete ")} == stale
    assert len(stale) > 3


def test_a_later_version_deletes_stale_files_in_its_commit(hub, first, second):
    publish(first, NAME, endpoint=hub.url)
    before = hub.repositories[NAME].head
    publish(second, NAME, endpoint=hub.url)
    repository = hub.repositories[NAME]
    assert_holds(hub, "v2.0.0", second)
    assert_holds(hub, "v1.0.0", first)
    assert repository.tags == {"v1.0.0": before, "v2.0.0": repository.head}
    assert len(repository.log) == 3
    assert publish(first, NAME, endpoint=hub.url)["state"] == "already published"
    assert publish(second, NAME, endpoint=hub.url)["state"] == "already published"


def test_pull_request(hub, first):
    made = publish(first, NAME, endpoint=hub.url, as_pr=True, private=True)
    repository = hub.repositories[NAME]
    assert (made["state"], made["pull_request"], repository.private, repository.tags) == ("proposed", 1, True, {})
    assert_holds(hub, "refs/pr/1", first)
    again = publish(first, NAME, endpoint=hub.url, as_pr=True)
    assert (again["state"], again["pull_request"], len(repository.pulls)) == ("already proposed", 1, 1)
    repository.merge(1)
    merged = publish(first, NAME, endpoint=hub.url, as_pr=True)
    assert (merged["state"], repository.tags) == ("published", {"v1.0.0": repository.head})
    assert_holds(hub, "v1.0.0", first)


def test_closed_pull_request_is_opened_anew(hub, first):
    publish(first, NAME, endpoint=hub.url, as_pr=True)
    hub.repositories[NAME].pulls[1]["status"] = "closed"
    assert publish(first, NAME, endpoint=hub.url, as_pr=True)["pull_request"] == 2


def test_tag_that_points_elsewhere(hub, first, tmp_path_factory):
    publish(first, NAME, endpoint=hub.url)
    other = release_folder(tmp_path_factory.getbasetemp(), "1.0.0", ("hi",), len(small_set.DOCS) - 1)
    tags, log = dict(hub.repositories[NAME].tags), len(hub.repositories[NAME].log)
    with pytest.raises(HubError, match="the tag v1.0.0 points elsewhere .* release another version"):
        publish(other, NAME, endpoint=hub.url)
    assert (hub.repositories[NAME].tags, len(hub.repositories[NAME].log)) == (tags, log)


def test_no_token(hub, first, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    code, out, err = small_set.cli("publish", first, "--repo", NAME, "--endpoint", hub.url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no token of the Hub; log in (hf auth login) or set HF_TOKEN" in err
    assert not hub.requests


def test_token_is_never_told(hub, first, tmp_path, monkeypatch):
    hub.fault = lambda method, path: Answer({"error": f"bad token {TOKEN}"}, 403) if "create" in path else None
    with pytest.raises(HubError, match=r"bad token \*\*\*.*may the token write there") as caught:
        publish(first, NAME, endpoint=hub.url)
    assert TOKEN not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "0.0.0-nothing")
    hub.fault = lambda method, path: None
    with pytest.raises(HubError, match=r"401.*is the token valid"):
        publish(first, NAME, endpoint=hub.url)
    leaking = shutil.copytree(first, tmp_path / "leaking")
    manifest = json.loads((leaking / "manifest.json").read_text("utf-8"))
    (leaking / "manifest.json").write_text(json.dumps({**manifest, "notes": [TOKEN]}), "utf-8")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(ReleaseError, match=r"manifest.json: holds your token") as leaked:
        publish(leaking, NAME, endpoint=hub.url)
    assert TOKEN not in str(leaked.value)
    assert not hub.repositories


def test_refusals_before_anything_is_sent(hub, first, tmp_path):
    copy = shutil.copytree(first, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    (copy / "manifest.json").write_text(json.dumps({**manifest, "version": "0.0.0-draft"}), "utf-8")
    with pytest.raises(ReleaseError, match="version 0.0.0-draft is a draft; cut a release"):
        publish(copy, NAME, endpoint=hub.url)
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (copy / "notes.txt").write_text("x", "utf-8")
    with pytest.raises(ReleaseError, match="not in order .notes.txt: not in the manifest"):
        publish(copy, NAME, endpoint=hub.url)
    with pytest.raises(HubError, match="write a repository as ORG/NAME"):
        publish(first, "small", endpoint=hub.url)
    with pytest.raises(HubError, match="without a name or password"):
        publish(first, NAME, endpoint="https://me:secret@host")
    assert not hub.requests


def test_repositories_that_hold_something_else(hub, first, second, tmp_path_factory):
    publish(second, NAME, endpoint=hub.url)
    with pytest.raises(HubError, match="holds version 2.0.0, which is newer than 1.0.0"):
        publish(first, NAME, endpoint=hub.url)
    with pytest.raises(HubError, match="exists and is public"):
        publish(second, NAME, endpoint=hub.url, private=True)
    other = release_folder(tmp_path_factory.getbasetemp(), "1.0.0", name="another")
    with pytest.raises(HubError, match=r"holds another data set \(small\)"):
        publish(other, NAME, endpoint=hub.url)
    repository = hub.repositories[NAME]
    repository.head = repository.add({**repository.commits[repository.head], "notes.txt": Blob(1, b"x")}, "by hand")
    later = release_folder(tmp_path_factory.getbasetemp(), "3.0.0")
    with pytest.raises(HubError, match=r"holds notes.txt, which no release wrote"):
        publish(later, NAME, endpoint=hub.url)
    assert list(repository.tags) == ["v2.0.0"]
