"""The Hugging Face Hub as a release needs it: what a repository holds, uploads, one commit, one tag. Refusals are one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from dsbuild.errors import DsbuildError

T = TypeVar("T")
Say = Callable[[str], None]

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# The Hub writes this file itself when a repository is made.
HUB_FILES = frozenset({".gitattributes"})
_ENDPOINT = re.compile(r"https?://[^\s/@]+[^\s@]*")
_WAITS = (1, 2, 4, 8, 16)
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_ADVICE = {401: "; is the token valid?", 403: "; may the token write there?"}
# One request covers so much at once: large shards go one by one, small ones do not cost a request each.
_GROUP_FILES, _GROUP_BYTES = 256, 1 << 30


class HubError(DsbuildError):
    """The Hub cannot be reached, refuses, or does not hold what was sent; `status` is its HTTP status, where it gave one."""

    def __init__(self, message: str, status: int | None = None, *, absent: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.absent = absent


@dataclass(frozen=True)
class LocalFile:
    """A file of a release: its name there, where it lies, its size in bytes and its sha256."""

    name: str
    path: Path
    size: int
    sha256: str

    @cached_property
    def blob_id(self) -> str:
        """The id that git gives the content: sha1 over a header and the bytes."""
        # git's own name for the content; nothing is kept safe by it.
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        with self.path.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True)
class RemoteFile:
    """A file as the Hub lists it: size, git blob id, and sha256 where it lies in large-file storage (else "")."""

    size: int
    blob_id: str
    sha256: str

    def holds(self, file: LocalFile) -> bool:
        """Whether size and digest are those of a local file."""
        same = self.sha256 == file.sha256 if self.sha256 else self.blob_id == file.blob_id
        return self.size == file.size and same


@dataclass(frozen=True)
class State:
    """Where a repository stands: the commit of main, tag -> commit, pull request number -> commit, and whether it is private."""

    head: str
    tags: Mapping[str, str]
    pulls: Mapping[int, str]
    private: bool


class Hub:
    """One data set repository. Every call tries again on 429 (as long as the Hub says) and on errors of the server.

    Raises `HubError`: one line that names the repository and what was asked; the token is never in it.
    """

    def __init__(self, repository: str, endpoint: str | None = None, say: Say = lambda line: None) -> None:
        from huggingface_hub import HfApi, constants, get_token

        if not REPOSITORY.fullmatch(repository):
            raise HubError(f"{repository}: write a repository as ORG/NAME")
        if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
            raise HubError("--endpoint: write the Hub's address as https://HOST, without a name or password in it")
        self.repository = repository
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self.token = get_token()
        self.say = say
        # False: without a token of ours the client must not look for one elsewhere.
        self._api = HfApi(endpoint=self.endpoint, token=self.token or False, library_name="dsbuild")
        self._which: dict[str, Any] = {"repo_id": repository, "repo_type": "dataset"}

    def need_token(self) -> None:
        """Raise the one line for a missing token."""
        if not self.token:
            raise HubError(
                f"{self.repository}: no token of the Hub; log in (hf auth login) or set HF_TOKEN to one that may write"
            )

    def state(self) -> State | None:
        """Where the repository stands; None if there is none (or none that the token may see)."""
        try:
            refs = self._ask("list its revisions", self._api.list_repo_refs, include_pull_requests=True)
            info = self._ask("say what it is", self._api.repo_info)
        except HubError as error:
            if error.absent:
                return None
            raise
        heads = {one.name: one.target_commit for one in refs.branches}
        pulls = {
            int(found[1]): one.target_commit
            for one in refs.pull_requests or ()
            if (found := re.fullmatch(r"refs/pr/(\d+)", one.ref))
        }
        tags = {one.name: one.target_commit for one in refs.tags}
        head = heads.get("main") or info.sha
        if head is None:
            raise HubError(f"{self.repository}: the Hub shows no branch main; make the repository anew")
        return State(head, tags, pulls, bool(info.private))

    def files(self, revision: str) -> dict[str, RemoteFile]:
        """The files of a revision by path, as the Hub lists them."""
        from huggingface_hub.hf_api import RepoFile

        def listed() -> list[Any]:
            return list(self._api.list_repo_tree(**self._which, revision=revision, recursive=True))

        return {
            one.path: RemoteFile(one.size, one.blob_id, one.lfs.sha256 if one.lfs else "")
            for one in self._ask(f"list the files of {revision}", listed, bare=True)
            if isinstance(one, RepoFile)
        }

    def read_json(self, name: str, revision: str) -> dict[str, Any]:
        """A JSON document of a revision; an empty one where the file is none."""
        with TemporaryDirectory() as folder:

            def fetched() -> Any:
                return self._api.hf_hub_download(**self._which, filename=name, revision=revision, local_dir=folder)

            text = Path(self._ask(f"give {name}", fetched, bare=True)).read_bytes()
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}

    def snapshot(self, revision: str) -> Path:
        """The folder of the Hub's cache that holds every file of a commit; what is there already is not fetched again."""
        found = self._ask("give its files", self._api.snapshot_download, revision=revision)
        return Path(found)

    def open_pull(self, number: int) -> bool:
        """Whether a pull request is neither merged nor closed."""
        found = self._ask("show a pull request", self._api.get_discussion_details, discussion_num=number)
        return found.status in ("open", "draft")

    def create(self, *, private: bool) -> None:
        """Make the repository; one that is there already is fine."""
        self._ask("be made", self._api.create_repo, private=private or None, exist_ok=True)

    def upload(self, files: Sequence[LocalFile], *, as_pr: bool) -> list[Any]:
        """Send the contents that belong in large-file storage, without a commit; returns the operations for `commit`.

        What the Hub holds already is not sent, so a run that was stopped goes on where it was. Raises if a file is not what
        the release says any more.
        """
        from huggingface_hub import CommitOperationAdd

        made = []
        for number, group in enumerate(_groups(files), 1):
            more = f" and {len(group) - 1} more" if group[1:] else ""
            self.say(f"upload {number}: {group[0].name}{more}, {sum(file.size for file in group):,} bytes")
            adds = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=str(file.path)) for file in group]
            self._ask("take the files", self._api.preupload_lfs_files, additions=adds, create_pr=as_pr)
            for file, add in zip(group, adds, strict=True):
                if add.upload_info.sha256.hex() != file.sha256:
                    raise HubError(f"{file.path}: changed while it was uploaded; nothing was published")
            made += adds
        return made

    def commit(
        self, adds: Sequence[Any], deletes: Sequence[str], parent: str | None, title: str, body: str, *, as_pr: bool
    ) -> tuple[str, int | None]:
        """One commit on main, or a pull request; only if main is still at `parent`. Returns the commit and the request's number."""
        from huggingface_hub import CommitOperationDelete

        operations = [*adds, *(CommitOperationDelete(path_in_repo=name, is_folder=False) for name in deletes)]
        # An answer that is lost leaves a pull request behind: a second try would open a second one.
        found = self._ask(
            "take the commit", self._api.create_commit, tries=1 if as_pr else len(_WAITS) + 1, operations=operations, parent_commit=parent,
            commit_message=title, commit_description=body, create_pr=as_pr,
        )  # fmt: skip
        return found.oid, found.pr_num

    def tag(self, name: str, commit: str, message: str) -> None:
        """Tag a commit; status 409 if the tag is there."""
        self._ask("be tagged", self._api.create_tag, tag=name, revision=commit, tag_message=message)

    def _ask(
        self, what: str, call: Callable[..., T], *, bare: bool = False, tries: int = len(_WAITS) + 1, **options: Any
    ) -> T:
        from huggingface_hub import errors

        # The base of all errors of the HTTP library that the Hub's client uses, whichever that is.
        no_answer: type[Exception] = getattr(errors, "HTTPError", OSError)
        for wait in (*_WAITS[: tries - 1], None):
            try:
                with _heard(self.say):
                    return call(**({} if bare else self._which), **options)
            except errors.HfHubHTTPError as error:
                status = error.response.status_code
                if wait is None or status not in _PASSING:
                    raise self._refusal(what, error) from None
                pause = _asked_to_wait(error.response.headers) or wait
                self.say(f"the Hub answered {status}; waiting {pause} s")
            except errors.OfflineModeIsEnabled:
                raise HubError(f"{self.repository}: the Hub is switched off here (HF_HUB_OFFLINE is set)") from None
            except (no_answer, ConnectionError) as error:
                if wait is None:
                    raise self._refusal(what, error) from None
                pause = wait
                self.say(f"the Hub does not answer; waiting {pause} s")
            except (OSError, RuntimeError, ValueError) as error:
                raise self._refusal(what, error) from None
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _refusal(self, what: str, error: Exception) -> HubError:
        from huggingface_hub import errors

        # The client wraps what went wrong in the upload of one file; the reason is inside.
        inner = error.__cause__ if type(error) is RuntimeError and isinstance(error.__cause__, Exception) else error
        if isinstance(inner, errors.HfHubHTTPError):
            status = inner.response.status_code
            absent = isinstance(inner, errors.RepositoryNotFoundError) and not isinstance(inner, errors.GatedRepoError)
            reason = inner.server_message or (str(inner).splitlines() or [""])[0]
            text = f"{self.repository}: the Hub would not {what} ({status}: {reason}){_ADVICE.get(status, '')}"
            return HubError(self._clean(text), status, absent=absent)
        lines = " ".join(str(inner).split()) or type(inner).__name__
        said = f"{self.repository}: the Hub at {self.endpoint} did not {what} ({lines})"
        return HubError(self._clean(f"{said}; check the address and the network, and run the same command again"))

    def _clean(self, text: str) -> str:
        return text.replace(self.token, "***") if self.token else text


def _groups(files: Sequence[LocalFile]) -> Iterator[list[LocalFile]]:
    group: list[LocalFile] = []
    for file in files:
        if group and (len(group) == _GROUP_FILES or sum(one.size for one in group) + file.size > _GROUP_BYTES):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _asked_to_wait(headers: Mapping[str, str]) -> int | None:
    """Seconds that an answer asks for: RateLimit `"api";r=0;t=55` (remaining, reset), else Retry-After; a second is added for rounding.

    >>> _asked_to_wait({"ratelimit": '"api";r=0;t=55'}), _asked_to_wait({"ratelimit": '"api";r=3;t=55'}), _asked_to_wait({"retry-after": "2"})
    (56, None, 3)
    """
    limit = headers.get("ratelimit", "")
    left, reset = re.search(r"\br=(\d+)", limit), re.search(r"\bt=(\d+)", limit)
    if left and reset and int(left[1]) == 0:
        return int(reset[1]) + 1
    after = headers.get("retry-after", "")
    return int(after) + 1 if after.isdecimal() else None


class _Listener(logging.Handler):
    """Hands on what the Hub's client warns of, one line each, without the signed part of addresses."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(re.sub(r"\?\S*", "", (record.getMessage().splitlines() or [""])[0]))


@contextlib.contextmanager
def _heard(say: Say) -> Iterator[None]:
    """Hear the client's warnings through `say`, and keep it from drawing bars."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    before, listener, drawn = list(logger.handlers), _Listener(say), not are_progress_bars_disabled()
    logger.handlers = [listener]
    if drawn:
        disable_progress_bars()
    try:
        yield
    finally:
        logger.handlers = before
        if drawn:
            enable_progress_bars()
