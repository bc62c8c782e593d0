"""A published release verified at its tag: the Hub's listing, and its files as they are fetched."""

import pytest

from dsbuild.builders.releases.publish import publish
from dsbuild.builders.releases.remote import verify_remote
from tests import small_set
from tests.published import NAME, loopback, release_folder

# The client's own upload of large files uses an argument that its HTTP library is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return release_folder(tmp_path_factory.getbasetemp(), "1.0.0")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with loopback(tmp_path, monkeypatch) as server:
        yield server


def test_verify_finds_other_content_at_the_tag(hub, first):
    publish(first, NAME, endpoint=hub.url)
    repository = hub.repositories[NAME]
    tree = repository.commits[repository.head]
    gone = next(name for name in sorted(tree) if name.startswith("hi-corpus/"))
    repository.tags["v1.0.1"] = repository.add({name: blob for name, blob in tree.items() if name != gone}, "by hand")
    found = verify_remote(f"{NAME}@v1.0.1", hub.url)
    assert found["problems"] == ["manifest.json: version 1.0.0 under the tag v1.0.1", f"{gone}: missing"]
    code, out, _ = small_set.cli("verify", f"{NAME}@v1.0.1", "--endpoint", hub.url)
    assert (code, "not in order" in out) == (1, True)
    for name, told in (
        (f"{NAME}@v9.9.9", "has no tag v9.9.9; it has: v1.0.0, v1.0.1"),
        ("org/none@v1.0.0", "no such data set"),
    ):
        code, _, err = small_set.cli("verify", name, "--endpoint", hub.url)
        assert (code, told in err) == (2, True), err


def test_content_that_is_not_what_the_hub_lists(hub, first):
    publish(first, NAME, endpoint=hub.url)
    tree = hub.repositories[NAME].commits[hub.repositories[NAME].head]
    name, blob = next((name, blob) for name, blob in sorted(tree.items()) if name.startswith("hi-corpus/"))
    content = hub.store[blob.sha256]
    hub.store[blob.sha256] = content[:99] + bytes([content[99] ^ 1]) + content[100:]
    assert verify_remote(f"{NAME}@v1.0.0", hub.url)["problems"] == [f"{name}: changed since the release was written"]


def test_a_folder_goes_before_a_name(first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / f"{NAME}@v1.0.0").symlink_to(first)
    code, out, err = small_set.cli("verify", f"{NAME}@v1.0.0")
    assert (code, out.splitlines()[-1]) == (0, "in order"), err
