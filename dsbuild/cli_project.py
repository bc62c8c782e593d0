"""The command on labelled sets: it parses, calls and prints like those of `dsbuild.cli`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import (
    STORE,
    DryRun,
    Executor,
    Format,
    Model,
    Out,
    OutputFormat,
    Placement,
    RecipeFile,
    RowLimit,
    Settings,
    StoreDir,
    Workers,
    app,
    build_and_print,
    print_found,
    tell,
)
from dsbuild.errors import RecipeError

_SOURCES = "A labelled file: conll:, xquad:, squad:, tacred:, multitacred:, xsid:, massive:, spans:, essays: or parquet:, then FILE."


@app.command()
def project(
    src: Annotated[Optional[str], typer.Option("--src", metavar="KIND:FILE", help=_SOURCES)] = None,
    langs: Annotated[
        Optional[str],
        typer.Option(
            "--langs", metavar="de,hi", help="Target languages, BCP-47; of one target file it may be left out."
        ),
    ] = None,
    target: Annotated[
        Optional[list[str]],
        typer.Option(
            "--target",
            metavar="[LANG=]KIND:FILE",
            help="An existing translation; its labels are not read. May be repeated.",
        ),
    ] = None,
    method: Annotated[
        Optional[str],
        typer.Option(
            "--method", metavar="M", help="auto, markers, constrained, align, candidates or fuzzy [default: auto]."
        ),
    ] = None,
    alignments: Annotated[
        Optional[list[str]],
        typer.Option(
            "--alignments",
            metavar="[LANG=]FILE",
            help="Word links, Pharaoh i-j, one line for each row. May be repeated.",
        ),
    ] = None,
    target_precision: Annotated[
        Optional[float],
        typer.Option(
            "--target-precision",
            metavar="P",
            help="Keep the spans that reach it, and say what coverage is left (auto).",
        ),
    ] = None,
    engine: Annotated[
        Optional[str],
        typer.Option(
            "--engine", metavar="E", help="What translates where no target is given: see dsbuild list engines."
        ),
    ] = None,
    model: Model = None,
    src_lang: Annotated[
        Optional[str],
        typer.Option("--src-lang", metavar="en", help="Language of the source, where its file does not say it."),
    ] = None,
    write: Annotated[
        Optional[list[str]],
        typer.Option(
            "--write", metavar="[LANG=]KIND:FILE", help="Also write the projected rows as such a file. May be repeated."
        ),
    ] = None,
    limit: RowLimit = None,
    recipe: RecipeFile = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    dry_run: DryRun = False,
    output: OutputFormat = Format.text,
) -> None:
    """Carry the labels of a set to other languages: every span ends kept, null, low in confidence or rejected with a reason.

    Example: dsbuild project --src xquad:en.json --target xquad:hi.json --langs hi --method auto
    """
    from dsbuild.builders import build
    from dsbuild.builders.projection import projected, written_files

    if not (src or recipe or any(one.startswith("source.src=") for one in settings or ())):
        raise RecipeError("project: which labelled set? Say --src KIND:FILE, for example --src conll:en.conll")
    given: dict[str, Any] = {
        "source.src": src, "source.lang": src_lang, "source.limit": limit,
        "langs": [lang.strip() for lang in langs.split(",") if lang.strip()] if langs else None,
        "target": {lang: {"src": spec} for lang, spec in projected.by_language(target or [], "--target").items()} or None,
        "alignments": projected.by_language(alignments or [], "--alignments") or None,
        "method": method, "target_precision": target_precision, "engine.name": engine, "engine.model": model,
    }  # fmt: skip
    made: Any = build.compose(recipe, given, settings or [], "project")
    wanted = written_files.wanted(write or [], made)

    def written(found: Mapping[str, Any]) -> dict[str, Any]:
        return {"written": written_files.write_all(Path(found["release"]), wanted)}

    build_and_print(made, out, store, executor.value, workers, dry_run=dry_run, output=output, more=written)


@app.command("calibrate-projection")
def calibrate_projection(
    src: Annotated[str, typer.Option("--src", metavar="KIND:FILE", help=_SOURCES)],
    gold: Annotated[
        list[str],
        typer.Option(
            "--gold",
            metavar="[LANG=]KIND:FILE",
            help="Its translation with the right labels. May be repeated, one for each language.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the calibration is written (JSON).")],
    langs: Annotated[
        Optional[str],
        typer.Option("--langs", metavar="de,hi", help="Languages of the gold, where its files do not say them."),
    ] = None,
    alignments: Annotated[
        Optional[list[str]],
        typer.Option(
            "--alignments",
            metavar="[LANG=]FILE",
            help="Word links, Pharaoh i-j, if the sets to be projected have them. May be repeated.",
        ),
    ] = None,
    src_lang: Annotated[
        Optional[str],
        typer.Option("--src-lang", metavar="en", help="Language of the source, where its file does not say it."),
    ] = None,
    limit: RowLimit = None,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Fit the confidence of the method auto on gold of your own, and show on held-out texts what it may promise.

    Example: dsbuild calibrate-projection --src xquad:en.json --gold hi=xquad:hi.json --out hi.json
    Then: dsbuild project ... --set auto.calibration=hi.json
    """
    from dsbuild import project_console
    from dsbuild.builders import build
    from dsbuild.builders.projection import calibrated_spans, projected

    given: dict[str, Any] = {
        "source.src": src, "source.lang": src_lang, "source.limit": limit,
        "langs": [lang.strip() for lang in langs.split(",") if lang.strip()] if langs else None,
        "target": {lang: {"src": spec} for lang, spec in projected.by_language(gold, "--gold").items()},
        "alignments": projected.by_language(alignments or [], "--alignments") or None,
    }  # fmt: skip
    made: Any = build.compose(None, given, settings or [], "project")
    found = calibrated_spans.calibrate_spans(made, out)
    tell(found["notes"])
    print_found(output, found, lambda: project_console.print_calibrated(found))


@app.command()
def triples(
    src: Annotated[
        str,
        typer.Option(
            "--src", metavar="KIND:PATH", help="Rows with a text and a triple: jsonl:FILE, tsv:FILE or parquet:DIR."
        ),
    ],
    labelled: Annotated[
        Optional[str],
        typer.Option("--labelled", metavar="KIND:PATH", help="Judged triples, on which the threshold is found."),
    ] = None,
    label: Annotated[
        str,
        typer.Option("--label", metavar="COLUMN", help="Their column that says whether the text states the triple."),
    ] = "label",
    target_precision: Annotated[
        Optional[float],
        typer.Option(
            "--target-precision", metavar="P", help="What the kept triples should reach [default: the best F1]."
        ),
    ] = None,
    nli: Annotated[
        Optional[str],
        typer.Option(
            "--nli", metavar="MODEL", help="An NLI model of transformers, name or folder [default: a lexical baseline]."
        ),
    ] = None,
    lang: Annotated[
        Optional[str],
        typer.Option("--lang", metavar="auto|CODE", help="Language of the texts, where the rows do not say it."),
    ] = None,
    limit: RowLimit = None,
    recipe: RecipeFile = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Keep the triples (subject, relation, object) that their text states, by an entailment score with a threshold found on judged rows.

    Example: dsbuild triples --src jsonl:triples.jsonl --lang en --labelled jsonl:judged.jsonl --target-precision 0.9
    """
    from dsbuild.builders import build
    from dsbuild.builders.filtering import triples as judged

    given: dict[str, Any] = {
        "source.src": src, "source.lang": lang, "source.limit": limit, "profile": "triple", "entailment.model": nli,
    }  # fmt: skip
    made: Any = build.compose(recipe, given, settings or [], "filter")
    made, chosen = judged.with_threshold(made, labelled, label, target_precision)
    build_and_print(
        made, out, store, executor.value, workers, output=output, notes=chosen["notes"],
        more=lambda found: {"threshold": chosen["threshold"]},
    )  # fmt: skip
