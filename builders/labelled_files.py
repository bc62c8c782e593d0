"""The rows of a projected release as a file of a labelled format: `--write KIND:FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsbuild import release
from dsbuild.builders.labelled import LabelledSource, open_labelled
from dsbuild.builders.labelled_rows import as_item
from dsbuild.builders.projected import AUTO, ProjectRecipe, by_language
from dsbuild.errors import RecipeError
from dsbuild.spans import Labelled


@dataclass(frozen=True)
class Wanted:
    """A file to write: its language (`auto`: the only one of the build) and what writes it."""

    lang: str
    writer: LabelledSource


def wanted(said: Sequence[str], recipe: ProjectRecipe) -> list[Wanted]:
    """The files that `--write [LANG=]KIND:FILE` names; what is wrong with them is told before work starts."""
    found = []
    for one in said:
        ((lang, spec),) = by_language([one], "--write").items()
        if lang == AUTO and len(recipe.langs) > 1:
            raise RecipeError(
                f"--write {one}: of which of {', '.join(recipe.langs)}? Name it: --write {recipe.langs[0]}={spec}"
            )
        if lang != AUTO and recipe.langs and lang not in recipe.langs:
            raise RecipeError(f"--write {one}: {lang} is not among the languages ({', '.join(recipe.langs)})")
        same = spec.partition(":")[0] == recipe.source.src.partition(":")[0]
        found.append(Wanted(lang, open_labelled(spec, options=dict(recipe.source.options) if same else {})))
    return found


def write_all(folder: Path, files: Sequence[Wanted]) -> dict[str, int]:
    """Write the kept rows of a release to the files; says how many rows each holds."""
    if not files:
        return {}
    manifest = release.read_manifest(folder)
    langs = list(manifest["accounting"])
    return {
        str(one.writer.path): one.writer.write(
            _items(folder, langs[0] if one.lang == AUTO else one.lang), one.writer.path
        )
        for one in files
    }


def _items(folder: Path, lang: str) -> Iterator[Labelled]:
    for table in release.read_part(folder, f"{lang}-labelled/"):
        yield from map(as_item, table.to_pylist())
