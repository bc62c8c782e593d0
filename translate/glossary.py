"""Glossaries: terms that keep their form or have one fixed translation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dsbuild import languages
from dsbuild.errors import RecipeError


def load_glossary(path: Path, src: str, tgts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read a TSV glossary: `term<TAB>translation<TAB>language`, both last columns optional.

    An empty translation means "do not translate"; an empty language means all of `tgts`; codes may be
    spelled otherwise than there. Lines starting with # are comments. Returns term -> fixed translation per
    target language. Raises `RecipeError` naming file and line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a glossary ({error})") from error
    terms: dict[str, dict[str, str]] = {tgt: {} for tgt in tgts}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        term, translation, lang, *rest = [*(cell.strip() for cell in line.split("\t")), "", ""]
        if any(rest) or not term:
            raise RecipeError(f"{path}:{number}: write term<TAB>translation<TAB>language (got {line[:60]!r})")
        code = languages.get(lang).code if lang else ""
        for tgt in tgts:
            if code and code != languages.get(tgt).code:
                continue
            if terms[tgt].get(term, translation or term) != (translation or term):
                raise RecipeError(f"{path}:{number}: {term!r} has another translation for {tgt} above; a term has one")
            terms[tgt][term] = translation or term
    if not any(terms.values()):
        raise RecipeError(f"{path}: no term for {src} -> {', '.join(tgts)}")
    return terms
