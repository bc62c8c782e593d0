"""A projected set of relations as MultiTACRED ships it: a folder for each language, a file for each split, and what was translated back.

Layout and fields: DFKI-NLP/MultiTACRED (`data/de/test_de.jsonl`, `test_en_de_bt.jsonl`, and the same in TACRED's own JSON). Its JSON lines hold
source and translation; in a back-translated file `text_raw` is the translation and `translation_raw` the text made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsbuild import release
from dsbuild.builders.labelled.multitacred import Multitacred, marked
from dsbuild.builders.labelled.tacred import Tacred, token_entities
from dsbuild.builders.projection.back_translation import code_of
from dsbuild.builders.projection.release_pairs import TABLE, beside, check_source, splits_of
from dsbuild.spans import Labelled


def write_set(folder: Path, langs: Sequence[str], out: Path, writer: Multitacred | Tacred) -> dict[str, int]:
    """Write the files of some languages below `out`; says how many rows each holds."""
    manifest = release.read_manifest(folder)
    check_source(folder, manifest)
    src = manifest["source"]["lang"]
    ending = "jsonl" if isinstance(writer, Multitacred) else "json"
    found: dict[str, int] = {}
    for lang in langs:
        for split in splits_of(manifest, lang):
            path = out / lang / f"{'' if split == TABLE else f'{split}_'}{lang}.{ending}"
            found[str(path)] = writer.write(translated(folder, src, lang, split), path)
        back = replace(writer, side="backtranslated") if isinstance(writer, Multitacred) else writer
        for split in splits_of(manifest, code_of(src, lang)):
            path = out / lang / f"{split}_{src}_{lang}_bt.{ending}"
            found[str(path)] = back.write(translated_back(folder, src, lang, split), path)
    # Nothing was kept, so there is no file; who asked for files is told that none is there.
    return found or {str(out): 0}


def translated(folder: Path, src: str, lang: str, split: str) -> Iterator[Labelled]:
    """The rows of a language, with the fields of their source in `extra["row"]`."""
    for source, target in beside(folder, (src, lang), split):
        yield replace(target, extra=_extra(target, {**_side(source, ""), "text_raw": marked(source)}))


def translated_back(folder: Path, src: str, lang: str, split: str) -> Iterator[Labelled]:
    """The back-translated rows, with the fields of their source and of their translation."""
    for source, target, back in beside(folder, (src, lang, code_of(src, lang)), split):
        row = {**_side(source, ""), "text_raw": marked(target), **_side(target, "_translated")}
        yield replace(back, extra=_extra(back, row))


def _side(item: Labelled, ending: str) -> dict[str, Any]:
    """Tokens, entities and language of one side of a row."""
    tokens, entities = token_entities(Multitacred.kind, item)
    places = [list(entities[span.span_id]) for span in item.spans]
    return {f"tokens{ending}": tokens, f"entities{ending}": places, f"language{ending}": item.lang.upper()}


def _extra(item: Labelled, row: dict[str, Any]) -> dict[str, Any]:
    """The row's other fields, and the tokens of a translation that came with some; what is of the source's format stays there."""
    return {"row": row, **({"tokens": item.extra["tokens"]} if item.extra.get("tokens") else {})}
