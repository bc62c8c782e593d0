"""Write a release for a loader of somebody else: the options of each view, every query accounted for, one folder."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import yaml

from dsbuild import __version__, files
from dsbuild.builders import EXPORTS
from dsbuild.builders.exports.scope import Example, Passage, Scope, Selection
from dsbuild.builders.exports.view_files import LEFT, Lines, ViewFolder, check_place
from dsbuild.builders.exports.views import Views, open_views
from dsbuild.builders.parts import public
from dsbuild.errors import RecipeError, ReleaseError, UnknownName

_README = """{front}# {name}, for {about}

Made from the release {name} {version} by dsbuild {dsbuild}: `dsbuild export --to {view}`. `export/manifest.json` lists every file with its sha256 and
says what became of every query; `export/left.jsonl` names those that were left out.
"""


class Exporter(Protocol):
    """One view. Its fields are its options; about: the loader that reads it; needs: texts, judgements or negatives."""

    about: ClassVar[str]
    needs: ClassVar[str]

    def write(self, task: Task) -> None:
        """Write the files of the view."""


@dataclass
class Account:
    """Queries of one scope and split: how many came in, were written, and were left out for which reason."""

    scope: str
    split: str
    part: str
    queries: int = 0
    exported: int = 0
    rows: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "scope": self.scope, "split": self.split, "part": self.part, "queries": self.queries, "exported": self.exported, "rows": self.rows,
            "left": dict(sorted(self.left.items())),
        }  # fmt: skip


@dataclass
class Task:
    """What an exporter works on: the release, the folder, and where it accounts for queries."""

    view: str
    views: Views
    folder: ViewFolder
    scopes: Sequence[Scope]
    left: Lines
    accounts: list[Account] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def base(self, scope: Scope) -> str:
        """What the paths of a scope begin with: nothing if it is the only one."""
        return "" if len(self.scopes) == 1 else f"{scope.name}/"

    def config(self, scope: Scope, table: str = "") -> str:
        """The name of a configuration: `table`, or with several scopes `<scope>-<table>`."""
        if not table:
            return scope.name
        return table if len(self.scopes) == 1 else f"{scope.name}-{table}"

    def examples(
        self,
        scope: Scope,
        split: str,
        make: Callable[[Example], Sequence[Any] | str],
        retriever: str | None = None,
        part: str = "training",
    ) -> Iterator[Any]:
        """The rows that `make` makes of each query, which is accounted for; `make` says why there are none (`no_positive`, …)."""
        account = Account(scope.name, split, part)
        self.accounts.append(account)
        last: str | None = None
        reason = ""

        def close() -> None:
            if last is not None and reason:
                account.left[reason] += 1
                self.left.json({"scope": scope.name, "split": split, "part": part, "query_id": last, "reason": reason})
            elif last is not None:
                account.exported += 1

        for example in self.views.examples(scope, split, retriever):
            if example.id != last:
                close()
                account.queries += 1
                last, reason = example.id, "unknown"
            made = make(example) if example.positives else "no_positive"
            if isinstance(made, str):
                reason = reason and made
                continue
            reason = ""
            account.rows += len(made)
            yield from made
        close()

    def judged(self, scope: Scope, split: str) -> Iterator[tuple[str, str, int]]:
        """The judgements of a split; its judged queries are accounted for, those of the split without judgement too."""
        account = Account(scope.name, split, "judgements")
        self.accounts.append(account)
        seen: set[str] = set()
        for query, doc, relevance in self.views.qrels(scope, split):
            seen.add(query)
            account.rows += 1
            yield query, doc, relevance
        for query, _ in self.views.queries(scope, [split]):
            account.queries += 1
            if query in seen:
                account.exported += 1
            else:
                account.left["not_judged"] += 1
                self.left.json(
                    {
                        "scope": scope.name,
                        "split": split,
                        "part": "judgements",
                        "query_id": query,
                        "reason": "not_judged",
                    }
                )

    def note(self, said: str) -> None:
        """Say something about the export once."""
        if said not in self.notes:
            self.notes.append(said)


def open_exporter(view: str, given: Mapping[str, Any]) -> Exporter:
    """The view of that name with its options; an option that it does not have is an error that names those it has."""
    made = EXPORTS.get(view)
    known = {one.name: one for one in dataclasses.fields(made)}
    wanted = {name: value for name, value in given.items() if value is not None and value is not False}
    for name in wanted:
        if name not in known:
            has = ", ".join(f"--{one}" for one in sorted(known)) or "none of its own"
            raise RecipeError(f"--{name}: no option of {view}, which has {has}")
    opened: Exporter = made(**wanted)
    return opened


def choice(view: str, value: str, known: Sequence[str]) -> None:
    """Refuse a style that a view does not have."""
    if value not in known:
        raise UnknownName(f"style of {view}", value, known)


def at_least(option: str, value: int | None, least: int = 1) -> None:
    """Refuse a number that is too small."""
    if value is not None and value < least:
        raise RecipeError(f"--{option} {value}: at least {least}")


def needs_scores(retriever: str | None, scores: bool) -> None:
    """Refuse the name of a retriever whose scores are not written."""
    if retriever and not scores:
        raise RecipeError("--retriever: says whose scores are written; needs --scores")


def passages_of(example: Example, n: int | None, *, scored: bool) -> tuple[Sequence[Passage], Sequence[Passage]] | str:
    """The positives of a query and at most n negatives, only those with a score if it is written; or why one of the two is empty."""
    positives, negatives = (
        [one for one in side if not scored or one.score is not None] for side in (example.positives, example.negatives)
    )
    if not positives or not negatives:
        return "no_negative" if not example.negatives else "no_score"
    return positives, negatives[:n]


def run_export(folder: Path, view: str, out: Path, selection: Selection, given: Mapping[str, Any]) -> dict[str, Any]:
    """Export a release; returns what the command prints. Nothing is in `out` before everything is written."""
    exporter = open_exporter(view, given)
    if out.name in ("", ".."):
        out = out.resolve()
    busy = f"{out}: another export is writing it; wait for it or name another --out"
    with files.locked(out.with_name(f".{out.name}.lock"), busy), open_views(folder, selection, out.parent) as views:
        check_place(out, view, views.release.name)
        target = ViewFolder(out)
        try:
            manifest = _write(exporter, view, views, target)
        except BaseException:
            target.drop()
            raise
    return {"export": str(out), **{key: manifest[key] for key in ("view", "scopes", "accounts", "notes", "files")}}


def _write(exporter: Exporter, view: str, views: Views, target: ViewFolder) -> dict[str, Any]:
    scopes = [] if exporter.needs == "texts" else views.scopes()
    if exporter.needs == "negatives":
        views.need_negatives(scopes)
    with target.lines(LEFT) as left:
        task = Task(view, views, target, scopes, left)
        exporter.write(task)
    if task.accounts and not any(one.exported for one in task.accounts):
        reasons = sorted({reason for one in task.accounts for reason in one.left})
        raise ReleaseError(
            f"{views.release.folder}: no query can be exported to {view} ({', '.join(reasons) or 'there are no queries'})"
        )
    for account in task.accounts:
        if account.left:
            said = ", ".join(f"{count:,} {reason}" for reason, count in sorted(account.left.items()))
            count = account.queries - account.exported
            task.note(
                f"{account.scope} {account.split} ({account.part}): {count:,} of {account.queries:,} queries left out ({said})"
            )
    release = views.release
    source = release.manifest["source"]
    license_name = release.manifest["recipe"].get("release", {}).get("license") or source["license"]
    options = {one.name: getattr(exporter, one.name) for one in dataclasses.fields(exporter)}  # type: ignore[arg-type]
    chosen = {**dataclasses.asdict(views.selection), **{name: public(value) for name, value in options.items()}}
    target.text("README.md", _readme(target, release.name, release.version, view, exporter.about, license_name))
    return target.finish(
        {
            "view": view, "options": {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()},
            "release": {
                "name": release.name, "version": release.version, "license": license_name, "content": release.manifest.get("content", {}),
                "build_key": release.manifest.get("build_key"),
            },
            "scopes": [
                {"name": one.name, "folder": task.base(one), "queries": list(one.queries), "passages": list(one.passages), "mix": one.mix}
                for one in scopes
            ],
            "accounts": [one.facts() for one in task.accounts], "notes": task.notes, "dsbuild": __version__,
        }
    )  # fmt: skip


def _readme(target: ViewFolder, name: str, version: str, view: str, about: str, license_name: str | None) -> str:
    front: dict[str, Any] = {"license": license_name} if license_name and _identifier(license_name) else {}
    if target.tables:
        front["configs"] = [
            {"config_name": config, "data_files": [{"split": split, "path": path} for split, path in splits.items()]}
            for config, splits in target.tables.items()
        ]
    head = f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n" if front else ""
    return _README.format(front=head, name=name, version=version, dsbuild=__version__, view=view, about=about)


def _identifier(name: str) -> bool:
    """Whether a licence is named by an identifier, as the Hub wants it in a README."""
    return name == name.lower() and " " not in name
