"""What tests of publication share: releases made on the spot, the Hub on the loopback address, and counts made independently."""

import contextlib
import functools
import hashlib
import os

from huggingface_hub import constants
from huggingface_hub.utils import close_session

from tests import small_set
from tests.hub_server import TOKEN, HubServer

NAME = "org/small"


@functools.cache
def draft(base, langs, n_docs):
    """A draft of the first documents of the small set."""
    folder, docs = base / f"draft-{'-'.join(langs)}-{n_docs}", small_set.DOCS[:n_docs]
    judged = [row for row in small_set.QRELS if row[1] in {doc[0] for doc in docs}]
    source = small_set.write_set(folder / "source", docs, qrels={"test": judged})
    small_set.make(folder, source, small_set.write_memory(folder / "memory.tsv"), langs)
    return folder / "out"


@functools.cache
def release_folder(base, version, langs=("hi", "ta"), n_docs=len(small_set.DOCS), name="small"):
    """A release that the release command cut; made once for all tests of a run, which leave it as it is."""
    home = base / f"{name}-{version}-{'-'.join(langs)}-{n_docs}"
    code, _, err = small_set.cli(
        "release", draft(base, langs, n_docs), "--name", name, "--version", version, "--out", home, "--license", "cc-by-4.0"
    )  # fmt: skip
    assert code == 0, err
    return home / version


@contextlib.contextmanager
def loopback(home, monkeypatch):
    """A Hub for calls in this process: large files the plain way, a cache of its own, the token in the environment."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "cache"))
    with HubServer() as server:
        yield server
        close_session()


def environment(server, home, *, xet=False, **more):
    """The environment of a process that knows the Hub by HF_ENDPOINT alone."""
    return {
        **os.environ, "PYTHONPATH": str(small_set.ROOT), "HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_XET": "0" if xet else "1", "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0", **more,
    }  # fmt: skip


def process(server, home, *arguments, xet=False, **more):
    """The real command in such a process."""
    return small_set.command(*arguments, cwd=home, **environment(server, home, xet=xet, **more))


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def assert_holds(server, revision, folder):
    """A revision is exactly a folder: names and contents, counted here and not by what is tested."""
    repository = server.repositories[NAME]
    tree = repository.commits[repository.oid(revision)]
    found = {name: blob.sha256 or blob.oid for name, blob in tree.items() if name != ".gitattributes"}
    wanted = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest() if path.suffix == ".parquet" else blob_id(content)
            wanted[path.relative_to(folder).as_posix()] = digest
    assert found == wanted
