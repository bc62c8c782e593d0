"""What a build asks of a labelled file besides its rows: its digest, and in what language its texts seem to be."""

from __future__ import annotations

from pathlib import Path

from dsbuild.builders.labelled.formats import UNKNOWN_LANG, LabelledSource
from dsbuild.builders.labelled.splits import files_of, open_split_set
from dsbuild.builders.sections import SourceSection
from dsbuild.builders.sources import text_language
from dsbuild.builders.sources.source import SourceFile
from dsbuild.digests import file_sha256
from dsbuild.errors import RecipeError


def open_section(section: SourceSection) -> LabelledSource:
    """Open the labelled file of a recipe's section, or its files of several splits."""
    if section.columns:
        raise RecipeError(
            f"{section.src}: the columns of a labelled file are fixed by its kind; leave source.columns out"
        )
    return open_split_set(section.src, lang=section.lang, options=section.options)


def source_file(path: Path, digests: Path | None) -> SourceFile:
    """A file's name, size and sha256; `digests` is a folder that remembers them."""
    sha256 = file_sha256(path, digests)
    return SourceFile(path.name, path.stat().st_size, sha256)


def source_files(source: LabelledSource, digests: Path | None) -> tuple[SourceFile, ...]:
    """As `source_file`, of every file of a set."""
    return tuple(source_file(path, digests) for path in files_of(source))


def stated_language(source: LabelledSource) -> str:
    """What the user or the first row of the file says, "" where neither does."""
    if source.lang and source.lang != UNKNOWN_LANG:
        return source.lang
    first = next(iter(source.targets()), None)
    return first.lang if first is not None and first.lang != UNKNOWN_LANG else ""


def identified(source: LabelledSource) -> tuple[str, float]:
    """The language that at least 70 % of the first texts seem to be in, and that share by characters; "" where none is."""
    return text_language.identified(item.text for item in source.targets())
