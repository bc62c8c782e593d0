"""The answers of people for a release: where they lie, a file to fill in, and what is still open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsbuild import files, release
from dsbuild.builders.releases import facts
from dsbuild.cards import answers
from dsbuild.errors import RecipeError, StoreError


def init(folder: Path | None, out: Path | None) -> dict[str, Any]:
    """Write a file with every question; beside the release, where it serves all versions of the set, unless `out` says where.

    A file that is there already is left as it is.
    """
    if folder is None and out is None:
        raise RecipeError("where? Name a release folder, or a file with --out FILE")
    known: dict[str, str] = {}
    if folder is not None:
        release.read_manifest(folder)
        if (inside := folder / answers.ANSWERS).is_file():
            known = answers.load(inside)
    path = out or Path(folder or ".").resolve().parent / answers.ANSWERS
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; name a file with --out, such as {path / answers.ANSWERS}")
    if path.exists():
        raise StoreError(f"{path}: is there already and is left as it is; name another file with --out")
    files.write_text(path, answers.template(known))
    asked = list(answers.questions())
    return {"answers": str(path), "questions": len(asked), "required": sum(one.required for one in asked)}


def check(path: Path, *, croissant: bool = False) -> dict[str, Any]:
    """Which questions have no answer: required ones, and others that a person should look at; croissant: what is wrong with the file."""
    if path.is_dir():
        release.read_manifest(path)
        file = facts.answers_of(path)
    elif path.is_file():
        file = path
    else:
        raise RecipeError(f"{path}: no release folder and no file of answers; dsbuild card init writes one")
    open_ = answers.unanswered(answers.load(file) if file else {})
    if croissant and not path.is_dir():
        raise RecipeError(f"{path}: --croissant needs the release folder")
    return {
        "answers": str(file) if file else None,
        "answered": open_.answered,
        "required": [{"name": one.name, "ask": one.ask} for one in open_.required],
        "open": [{"name": one.name, "ask": one.ask} for one in open_.others],
        "croissant": facts.validate_croissant(path) if croissant else None,
    }
