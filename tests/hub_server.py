"""A Hugging Face Hub on the loopback address, in memory: repositories, large files, commits, tags and pull requests, with faults.

It answers what the real client asks for when a data set is published and read, and refuses what the real Hub refuses: a stale parent,
a large file that was not uploaded, a tag that exists, a request without the token. It shows the client's side only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_the_tests"
DATE = "2026-01-01T00:00:00.000Z"
# Listings come in pages of so many entries, so that clients have to follow the links.
_PAGE = 5
_LARGE = (".parquet", ".zst", ".bin")


@dataclass
class Answer:
    """What goes back: a status, a body (JSON unless bytes) and headers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An error answer; `kind` is the Hub's error code."""

    def __init__(self, status: int, message: str, kind: str = "", **headers: str) -> None:
        super().__init__(message)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        extra = {"X-Error-Code": kind} if kind else {}
        self.answer = Answer({"error": message}, status, {"X-Error-Message": message, **extra, **named})


@dataclass(frozen=True)
class Blob:
    """A file of a commit: its content, or the sha256 of a large one whose content is in the store."""

    size: int
    content: bytes = b""
    sha256: str = ""

    @property
    def oid(self) -> str:
        """The git id of the content, or of the pointer that stands for it."""
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()
        content = pointer if self.sha256 else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        large = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}} if self.sha256 else {}
        return {"type": "file", "path": path, "oid": self.oid, "size": self.size, **large}


Tree = dict[str, Blob]


class Repository:
    """Commits (oid -> tree), branches, tags, pull requests."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self.commits: dict[str, Tree] = {}
        self.log: list[tuple[str, str]] = []
        self.tags: dict[str, str] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        self.head = self.add({".gitattributes": Blob(3, b"*.x")}, "initial commit")

    def add(self, tree: Tree, title: str) -> str:
        """A commit that no branch points to yet."""
        told = json.dumps([len(self.commits), title, sorted((path, blob.oid) for path, blob in tree.items())])
        oid = hashlib.sha1(told.encode()).hexdigest()
        self.commits[oid] = tree
        self.log.append((oid, title))
        return oid

    def oid(self, revision: str) -> str:
        named = {"main": self.head, **self.tags, **{f"refs/pr/{n}": pull["oid"] for n, pull in self.pulls.items()}}
        oid = named.get(revision, revision)
        if oid not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid

    def merge(self, number: int) -> None:
        """Merge a pull request the way the Hub does: a new commit on main."""
        self.head = self.add(self.commits[self.pulls[number]["oid"]], f"Merge {number}")
        self.pulls[number]["status"] = "merged"


Fault = Callable[[str, str], Answer | None]


class HubServer:
    """`with HubServer() as hub:` serves at hub.url until the block ends.

    `cas`: an address `local:///DIR` at which the client's Xet library stores contents. `fault(method, path)` may answer in place of the
    server; `lies` maps a path to the digest that listings state for it; `lost` names paths whose work is done and whose answer is a 500, once.
    """

    def __init__(self, cas: str | None = None) -> None:
        self.cas = cas
        self.fault: Fault = lambda method, path: None
        self.lies: dict[str, str] = {}
        self.lost: list[str] = []
        self.repositories: dict[str, Repository] = {}
        self.store: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.lock = threading.Lock()

    def __enter__(self) -> HubServer:
        handler = type("Bound", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def count(self, pattern: str) -> int:
        """How many requests (`METHOD path`) match a pattern."""
        return sum(re.search(pattern, f"{method} {path}") is not None for method, path in self.requests)

    def answer(self, method: str, address: str, body: bytes, headers: Any) -> Answer:
        path, query = urlsplit(address).path, parse_qs(urlsplit(address).query)
        with self.lock:
            self.requests.append((method, path))
            self.bodies.append(body)
            if (injected := self.fault(method, path)) is not None:
                return injected
            open_to_all = method in ("GET", "HEAD") or path.startswith("/lfs/")
            if not open_to_all and headers.get("Authorization") != f"Bearer {TOKEN}":
                return Refused(401, "Invalid credentials in Authorization header").answer
            for pattern, handle in _ROUTES:
                if found := re.fullmatch(pattern, f"{method} {path}"):
                    parts = [unquote(part) if part else part for part in found.groups()]
                    made: Answer = handle(self, *parts, query=query, body=body, headers=headers)
                    if path in self.lost:
                        self.lost.remove(path)
                        return Refused(500, "the answer is lost").answer
                    return made
        return Refused(404, f"no such route: {method} {path}").answer

    def repository(self, name: str) -> Repository:
        if name not in self.repositories:
            raise Refused(404, "Repository not found", "RepoNotFound")
        return self.repositories[name]

    def create(self, body: bytes, **_: Any) -> Answer:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        assert asked["type"] == "dataset"
        there = name in self.repositories
        if not there:
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            self.repositories[name] = Repository(private)
        url = {"url": f"{self.url}/datasets/{name}", "name": name}
        return Answer(
            {**url, "error": "You already created this dataset repo"} if there else url, 409 if there else 200
        )

    def validate(self, body: bytes, **_: Any) -> Answer:
        text = json.loads(body)["content"]
        errors = [] if text.startswith("---\n") else [{"message": "no metadata"}]
        return Answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def info(self, name: str, revision: str | None = None, **_: Any) -> Answer:
        repository = self.repository(name)
        oid = repository.oid(revision or "main")
        files = [{"rfilename": path} for path in sorted(repository.commits[oid])]
        return Answer({
            "_id": "0", "id": name, "author": name.split("/")[0], "sha": oid, "private": repository.private, "siblings": files,
            "lastModified": DATE, "createdAt": DATE, "disabled": False, "gated": False, "downloads": 0, "likes": 0, "tags": [],
        })  # fmt: skip

    def refs(self, name: str, query: dict[str, list[str]], **_: Any) -> Answer:
        repository = self.repository(name)

        def listed(kind: str, named: dict[Any, str]) -> list[dict[str, str]]:
            return [{"name": f"{key}", "ref": f"refs/{kind}/{key}", "targetCommit": oid} for key, oid in named.items()]

        found = {
            "branches": listed("heads", {"main": repository.head}),
            "converts": [],
            "tags": listed("tags", repository.tags),
        }
        if "include_prs" in query:
            found["pullRequests"] = listed("pr", {number: pull["oid"] for number, pull in repository.pulls.items()})
        return Answer(found)

    def tree(
        self, name: str, revision: str, folder: str | None = None, *, query: dict[str, list[str]], **_: Any
    ) -> Answer:
        tree = self.repository(name).commits[self.repository(name).oid(revision)]
        deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        top = f"{folder}/" if folder else ""
        inside = [path for path in sorted(tree) if path.startswith(top)]
        if not inside:
            raise Refused(404, "Entry not found", "EntryNotFound")
        folders = {
            top + "/".join(path[len(top) :].split("/")[:n])
            for path in inside
            for n in range(1, path[len(top) :].count("/") + 1)
        }
        entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        entries += [self._lied(tree[path].entry(path)) for path in inside]
        if not deep:
            entries = [entry for entry in entries if "/" not in str(entry["path"])[len(top) :]]
        start = int(query.get("cursor", ["0"])[0])
        more = f"{self.url}/api/datasets/{name}/tree/{revision}{'/' + folder if folder else ''}?recursive={deep}&cursor={start + _PAGE}"
        links = {"Link": f'<{more}>; rel="next"'} if start + _PAGE < len(entries) else {}
        return Answer(entries[start : start + _PAGE], headers=links)

    def _lied(self, entry: dict[str, Any]) -> dict[str, Any]:
        if said := self.lies.get(entry["path"]):
            return {**entry, "lfs": {**entry["lfs"], "oid": said}} if "lfs" in entry else {**entry, "oid": said}
        return entry

    def paths_info(self, name: str, revision: str, body: bytes, **_: Any) -> Answer:
        tree = self.repository(name).commits[self.repository(name).oid(revision)]
        wanted = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
        return Answer([self._lied(tree[path].entry(path)) for path in wanted if path in tree])

    def preupload(self, name: str, revision: str, body: bytes, **_: Any) -> Answer:
        repository = self.repository(name)
        tree, found = repository.commits[repository.oid(revision)], []
        for file in json.loads(body)["files"]:
            there = tree.get(file["path"])
            oid = {"oid": there.sha256 or there.oid} if there else {}
            mode = "lfs" if file["path"].endswith(_LARGE) or file["size"] > 10 << 20 else "regular"
            found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
        return Answer({"files": found})

    def batch(self, name: str, body: bytes, **_: Any) -> Answer:
        self.repository(name)
        objects = []
        for wanted in json.loads(body)["objects"]:
            href = f"{self.url}/lfs/{wanted['oid']}"
            actions = {} if wanted["oid"] in self.store else {"actions": {"upload": {"href": href}}}
            objects.append({"oid": wanted["oid"], "size": wanted["size"], **actions})
        return Answer({"transfer": "basic", "objects": objects})

    def put(self, oid: str, body: bytes, **_: Any) -> Answer:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, "the content is not what was announced")
        self.store[oid] = body
        return Answer({})

    def xet_token(self, name: str, revision: str, **_: Any) -> Answer:
        self.repository(name)
        return Answer({"casUrl": self.cas, "accessToken": "for-a-while", "exp": int(time.time()) + 3600})

    def commit(self, name: str, branch: str, query: dict[str, list[str]], body: bytes, **_: Any) -> Answer:
        repository = self.repository(name)
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        header, parent = lines[0]["value"], repository.oid(branch)
        if header.get("parentCommit", parent) != parent:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(repository.commits[parent])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                tree[value["path"]] = Blob(len(content), content)
            elif line["key"] == "lfsFile":
                if self.cas is None and value["oid"] not in self.store:
                    raise Refused(400, f"no content was uploaded for {value['path']}")
                tree[value["path"]] = Blob(value["size"], sha256=value["oid"])
            else:
                assert line["key"] == "deletedFile"
                if tree.pop(value["path"], None) is None:
                    raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        oid = repository.add(tree, header["summary"])
        made = {"success": True, "commitOid": oid, "commitUrl": f"{self.url}/datasets/{name}/commit/{oid}"}
        if "create_pr" in query:
            number = len(repository.pulls) + 1
            repository.pulls[number] = {"oid": oid, "status": "open", "title": header["summary"]}
            return Answer({**made, "pullRequestUrl": f"{self.url}/datasets/{name}/discussions/{number}"})
        repository.head = oid
        return Answer(made)

    def tag(self, name: str, revision: str, body: bytes, **_: Any) -> Answer:
        repository, tag = self.repository(name), json.loads(body)["tag"]
        oid = repository.oid(revision)
        if tag in repository.tags:
            raise Refused(409, "Reference already exists")
        repository.tags[tag] = oid
        return Answer({})

    def discussion(self, name: str, number: str, **_: Any) -> Answer:
        pull = self.repository(name).pulls[int(number)]
        return Answer({
            "title": pull["title"], "num": int(number), "author": {"name": "tester"}, "createdAt": DATE, "status": pull["status"],
            "repo": {"name": name, "type": "dataset"}, "isPullRequest": True, "events": [], "filesWithConflicts": [],
            "changes": {"base": "refs/heads/main"}, "diff": "",
        })  # fmt: skip

    def resolve(self, name: str, revision: str, path: str, headers: Any, **_: Any) -> Answer:
        oid = self.repository(name).oid(revision)
        blob = self.repository(name).commits[oid].get(path)
        if blob is None:
            raise Refused(404, "Entry not found", "EntryNotFound", X_Repo_Commit=oid)
        content = self.store[blob.sha256] if blob.sha256 else blob.content
        about = {"ETag": f'"{blob.sha256 or blob.oid}"', "X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if blob.sha256:
            about |= {"X-Linked-Etag": about["ETag"], "X-Linked-Size": str(blob.size)}
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("Range") or ""):
            first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
            return Answer(
                content[first : last + 1], 206, {**about, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
            )
        return Answer(content, headers=about)


_NAME = r"([^/]+/[^/]+)"
_API = rf"/api/datasets/{_NAME}"
_ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (r"POST /api/repos/create", HubServer.create),
    (r"POST /api/validate-yaml", HubServer.validate),
    (rf"POST /datasets/{_NAME}\.git/info/lfs/objects/batch", HubServer.batch),
    (r"PUT /lfs/([0-9a-f]{64})", HubServer.put),
    (rf"(?:GET|HEAD) /datasets/{_NAME}/resolve/([^/]+)/(.+)", HubServer.resolve),
    (rf"GET {_API}(?:/revision/([^/]+))?", HubServer.info),
    (rf"GET {_API}/refs", HubServer.refs),
    (rf"GET {_API}/tree/([^/]+)(?:/(.+))?", HubServer.tree),
    (rf"POST {_API}/paths-info/([^/]+)", HubServer.paths_info),
    (rf"POST {_API}/preupload/([^/]+)", HubServer.preupload),
    (rf"GET {_API}/xet-write-token/([^/]+)", HubServer.xet_token),
    (rf"POST {_API}/commit/([^/]+)", HubServer.commit),
    (rf"POST {_API}/tag/([^/]+)", HubServer.tag),
    (rf"GET {_API}/discussions/(\d+)", HubServer.discussion),
)


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, hands it to the hub and writes the answer."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: two would wait for each other.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    hub: HubServer

    def log_message(self, *_: object) -> None: ...

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.hub.answer(self.command, self.path, body, self.headers)
        except Refused as refused:
            answer = refused.answer
        if answer.status == 0:
            # A fault: the connection breaks.
            self.close_connection = True
            return
        raw = isinstance(answer.body, bytes)
        content = answer.body if raw else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        kind = "application/octet-stream" if raw else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815
