"""`calibrate-projection`: the confidence of the method `auto`, fitted on a user's own gold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsbuild import files
from dsbuild.builders.labelled.labelled_rows import TARGETS, as_row, links_of, packed
from dsbuild.builders.labelled.labelled_set import open_section, source_file, source_files
from dsbuild.builders.labelled.pairs import paired
from dsbuild.builders.labelled.squad import questions_in_step
from dsbuild.builders.projection.judged_spans import OWN_IDS
from dsbuild.builders.projection.projected import ProjectRecipe, files_read, prepare, public_src
from dsbuild.builders.projection.read_links import ReadLinks
from dsbuild.errors import RecipeError
from dsbuild.project.calibration import Calibration, Gold, fit
from dsbuild.project.cascade import CascadeProjector
from dsbuild.project.gold_options import GoldOptions, gold_options
from dsbuild.project.projector import Links, Parallel
from dsbuild.shares import wilson
from dsbuild.spans import Labelled
from dsbuild.stage import Workspace

PROMISES = (0.9, 0.95, 0.97)
# Fewer cannot show 90 %, not even without an error.
_LEAST_SPANS = 50


def calibrate_spans(recipe: ProjectRecipe, out: Path) -> dict[str, Any]:
    """Fit on every language of a recipe whose targets are gold, and write the calibration to `out`.

    Every figure is of held-out texts: a fifth at a time is answered for by a model that was fitted on the others. `RecipeError` for a method
    other than auto, a target that is missing, links for some languages only, and gold that is too small or shows no error.
    """
    if recipe.method != "auto":
        raise RecipeError(
            f"calibrate-projection: only the method auto has a calibrated confidence; {recipe.method} has none"
        )
    if recipe.engine is not None:
        raise RecipeError("calibrate-projection: gold is a translation that is there; leave the engine out")
    if out.resolve() in {path.resolve() for path in files_read(recipe)}:
        raise RecipeError(f"--out {out}: this file is read here and would be lost; write another one")
    projecting = prepare(recipe)
    recipe = projecting.recipe
    if recipe.alignments and (lacking := sorted(set(recipe.langs) - set(recipe.alignments))):
        raise RecipeError(
            f"--alignments: none for {lacking[0]}; links are a kind of evidence of their own: give them for all or for none"
        )
    by_id = recipe.source.src.partition(":")[0] in OWN_IDS
    found: list[GoldOptions] = []
    setup = ""
    for lang in recipe.langs:
        made = projecting.tools[lang].make()
        assert isinstance(made, CascadeProjector)
        pairs, gold = _pairs(recipe, lang, projecting.src)
        units = made.units(pairs)
        setup = made.setup(units)
        found.append(gold_options(units, gold, by_id))
    read = [projecting.source, *(open_section(recipe.target[lang]) for lang in recipe.langs)]
    named = [file for one in read for file in source_files(one, None)]
    named += [source_file(Path(path).expanduser(), None) for path in recipe.alignments.values()]
    specs = [recipe.source.src, *(recipe.target[lang].src for lang in recipe.langs)]
    name = f"{projecting.src}-{','.join(recipe.langs)}: {', '.join(map(public_src, specs))}"
    about = Gold(
        name,
        tuple(dict.fromkeys(lang.split("-")[0] for lang in recipe.langs)),
        tuple(f"{file.name} {file.size_bytes} {file.sha256}" for file in named),
    )
    fitted = fit(setup, about, _joined(found, recipe))
    files.write_text(out, json.dumps({setup: fitted.plain()}, ensure_ascii=False, indent=1) + "\n")
    return {"out": str(out), **_report(fitted), "notes": list(projecting.notes)}


def _pairs(recipe: ProjectRecipe, lang: str, src: str) -> tuple[list[Parallel], list[Labelled]]:
    """The pairs of a language and their target texts with labels, beside each other."""
    source, target = open_section(recipe.source), open_section(recipe.target[lang])
    limit = recipe.source.limit
    texts = list(source.read())[:limit]
    gold = list(target.read())
    names = (recipe.source.src, recipe.target[lang].src)
    held = list(paired(texts, target.targets(), limited=limit is not None, names=names))
    by_name = {item.id: item for item in gold}
    if not all(one.id in by_name for one, _ in held):
        by_name = {one.id: item for (one, _), item in zip(held, gold, strict=False)}
    links = _links(Path(recipe.alignments[lang]).expanduser(), held, limit is not None) if recipe.alignments else []
    pairs = [
        Parallel(
            Labelled(one.id, one.text, src, one.spans),
            two.text,
            lang,
            links=links[place] if links else None,
            more=questions_in_step(one.extra, two.extra),
        )
        for place, (one, two) in enumerate(held)
    ]
    return pairs, [by_name[one.id] for one, _ in held]


def _links(path: Path, pairs: Sequence[tuple[Labelled, Labelled]], limited: bool) -> list[Links]:
    rows = list(packed(("", one) for one, _ in pairs))
    bare = pa.Table.from_pylist([{name: as_row(two)[name] for name in TARGETS.names} for _, two in pairs], TARGETS)
    starts = np.cumsum([0, *(len(table) for table in rows)]).tolist()
    targets = [bare.slice(start, len(table)) for start, table in zip(starts, rows, strict=False)]
    stage = ReadLinks(source_file(path, None).sha256, limited, path)
    shards = stage.run({"rows": rows, "targets": targets}, Workspace("", path, path)).outputs["out"]
    return [links_of(row) for shard in shards for row in shard.table.to_pylist()]


def _joined(found: Sequence[GoldOptions], recipe: ProjectRecipe) -> GoldOptions:
    """The options of all languages as one; a text in several languages stays in one fold, since its folds are by row."""
    n_texts = max((int(one.texts.max(initial=-1)) + 1 for one in found), default=0)
    n_spans = np.cumsum([0, *(int(one.spans.max(initial=-1)) + 1 for one in found)]).tolist()
    whole = GoldOptions(
        np.concatenate([one.features for one in found if len(one.right)]) if n_texts else np.zeros((0, 0)),
        np.concatenate([one.right for one in found]),
        np.concatenate([one.spans + start for one, start in zip(found, n_spans, strict=False)]),
        np.concatenate([one.texts for one in found]),
        tuple(digest for one in found for digest in one.digests),
    )
    counted = len(np.unique(whole.spans))
    if counted < _LEAST_SPANS or n_texts < 5:
        raise RecipeError(
            f"{recipe.source.src}: {counted} spans in {n_texts} texts have a place to judge; a calibration needs {_LEAST_SPANS} spans and five texts"
        )
    if not whole.right.any() or whole.right.all():
        said = "every" if whole.right.any() else "no"
        raise RecipeError(
            f"{recipe.source.src}: {said} place that was found is exact, so nothing can be learned; are these the gold's files?"
        )
    return whole


def _report(fitted: Calibration) -> dict[str, Any]:
    """What held-out answers show."""
    whole = fitted.held[-1]
    promises = []
    for target in PROMISES:
        least = fitted.least(target)
        point = next((one for one in fitted.held if one.probability == least), None)
        low = wilson(point.right, point.n)[0] if point else None
        promises.append(
            {
                "precision": target, "least": round(least, 6) if point else None, "coverage": round(point.n / whole.n, 6) if point else 0.0,
                "held_out": round(point.right / point.n, 6) if point else None, "low": None if low is None else round(low, 6),
            }
        )  # fmt: skip
    return {
        "setup": fitted.setup, "gold": fitted.gold.name, "langs": list(fitted.gold.langs), "spans": fitted.n_spans,
        "exact": round(whole.right / whole.n, 6), "calibration_error": fitted.ece, "promises": promises, "files": list(fitted.gold.files),
    }  # fmt: skip
