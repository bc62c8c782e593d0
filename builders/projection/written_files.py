"""The rows of a projected release as a file of a labelled format: `--write KIND:FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsbuild import release
from dsbuild.builders.labelled.formats import LabelledSource, open_labelled
from dsbuild.builders.labelled.labelled_rows import as_item
from dsbuild.builders.labelled.multitacred import Multitacred
from dsbuild.builders.labelled.tacred import Tacred
from dsbuild.builders.projection.back_translation import is_back
from dsbuild.builders.projection.projected import AUTO, ProjectRecipe, by_language, files_read
from dsbuild.builders.projection.relation_files import translated, write_set
from dsbuild.builders.projection.release_pairs import check_source, splits_of
from dsbuild.builders.sources.lines import suffixes
from dsbuild.errors import RecipeError
from dsbuild.spans import Labelled


@dataclass(frozen=True)
class Wanted:
    """A file to write: its language (`auto`: the only one of the build) and what writes it."""

    lang: str
    writer: LabelledSource

    @property
    def folder(self) -> bool:
        """Whether it is a folder of MultiTACRED's files, for every language and split."""
        return isinstance(self.writer, Multitacred | Tacred) and not suffixes(self.writer.path)[0]


def wanted(said: Sequence[str], recipe: ProjectRecipe) -> list[Wanted]:
    """The files that `--write [LANG=]KIND:FILE` names; what is wrong with them is told before work starts."""
    found: list[Wanted] = []
    read = {path.resolve() for path in files_read(recipe)} if said else set()
    langs = recipe.langs or tuple(lang for lang in recipe.target if lang != AUTO)
    for one in said:
        ((lang, spec),) = by_language([one], "--write").items()
        kind = spec.partition(":")[0]
        # Which side of MultiTACRED's rows was read says nothing of what is written: always the translation, with its source.
        same = kind == recipe.source.src.partition(":")[0] and kind != Multitacred.kind
        made = Wanted(lang, open_labelled(spec, options=dict(recipe.source.options) if same else {}))
        if lang == AUTO and len(langs) > 1 and not made.folder:
            raise RecipeError(f"--write {one}: of which of {', '.join(langs)}? Name it: --write {langs[0]}={spec}")
        if lang != AUTO and langs and lang not in langs:
            raise RecipeError(f"--write {one}: {lang} is not among the languages ({', '.join(langs)})")
        path = made.writer.path.resolve()
        if path in read:
            raise RecipeError(f"--write {one}: this file is read by the build and would be lost; write another one")
        if any(path == other.writer.path.resolve() for other in found):
            raise RecipeError(f"--write {one}: another --write names this file too; give each a file of its own")
        found.append(made)
    return found


def write_all(folder: Path, files: Sequence[Wanted]) -> dict[str, int]:
    """Write the kept rows of a release to the files; says how many rows each holds."""
    if not files:
        return {}
    manifest = release.read_manifest(folder)
    langs = [lang for lang in manifest["accounting"] if not is_back(lang)]
    written: dict[str, int] = {}
    for one in files:
        mine = langs if one.lang == AUTO else [one.lang]
        if one.folder and isinstance(one.writer, Multitacred | Tacred):
            written |= write_set(folder, mine, one.writer.path, one.writer)
        elif isinstance(one.writer, Multitacred):
            check_source(folder, manifest)
            src = manifest["source"]["lang"]
            rows = (item for split in splits_of(manifest, mine[0]) for item in translated(folder, src, mine[0], split))
            written[str(one.writer.path)] = one.writer.write(rows, one.writer.path)
        else:
            written[str(one.writer.path)] = one.writer.write(_items(folder, mine[0]), one.writer.path)
    return written


def _items(folder: Path, lang: str) -> Iterator[Labelled]:
    for table in release.read_part(folder, f"{lang}-labelled/"):
        yield from map(as_item, table.to_pylist())
