"""What keeping only the rows that every language has (`--parallel`) cost: by language, by length of the source text and by grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild.builders.releases.measures import ask
from dsbuild.tables import ID_COLUMNS

# Lower bounds of the lengths that are told apart, in code points.
BOUNDS = (0, 50, 100, 200, 500, 1_000, 2_000)
RULE = "parallel"


def losses(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Counts of the release in `folder`; None if it was not made parallel.

    tables: by table {languages: {lang: {own, others, sole}}, lengths: [{from, to, in, lost}], length_of}: own, rows that fell to the
    language's own rules; others, rows that it kept and another language lost; sole, rows that it alone lost; length_of, the language
    whose text was measured. grades: by grade {in, lost}.
    """
    recipe = manifest["recipe"]
    if not recipe.get("parallel"):
        return None
    langs, src = tuple(recipe["langs"]), manifest["source"]["lang"]
    tables = [recipe["only"]] if recipe.get("only") else ["corpus", "queries"]
    return {
        "tables": {table: _table(folder, table, langs, src) for table in tables},
        "grades": _grades(folder, langs[0], src),
    }


def _table(folder: Path, table: str, langs: Sequence[str], src: str) -> dict[str, Any]:
    key = ID_COLUMNS[table]
    lost = {lang: _ids(kept_or_lost(folder, lang, table, lost=True), key) for lang in langs}
    own = {lang: lost[lang] - _taken_along(folder, lang, table) for lang in langs}
    languages = {
        lang: {
            "own": len(own[lang]),
            "others": len(lost[lang] - own[lang]),
            "sole": len(own[lang].difference(*(own[other] for other in langs if other != lang))),
        }
        for lang in langs
    }
    source = kept_or_lost(folder, src, table)
    measured = source or kept_or_lost(folder, langs[0], table) + kept_or_lost(folder, langs[0], table, lost=True)
    rungs = " + ".join(f"(length(text) >= {bound})::INT" for bound in BOUNDS[1:])
    kept = kept_or_lost(folder, langs[0], table)
    query = (
        f"SELECT {rungs} AS rung, count(*), count(*) FILTER ({key} NOT IN (SELECT {key} FROM read_parquet($2))) "
        "FROM read_parquet($1, union_by_name = true) GROUP BY 1"
    )
    found = {rung: (n, gone) for rung, n, gone in ask(query, [measured, kept])}
    lengths = [
        {"from": low, "to": high, "in": found.get(rung, (0, 0))[0], "lost": found.get(rung, (0, 0))[1]}
        for rung, (low, high) in enumerate(zip(BOUNDS, [*(bound - 1 for bound in BOUNDS[1:]), None], strict=True))
    ]
    return {"languages": languages, "lengths": lengths, "length_of": src if source else langs[0]}


def _grades(folder: Path, lang: str, src: str) -> dict[str, Any]:
    kept = kept_or_lost(folder, lang, "qrels")
    by_grade = "SELECT relevance, count(*) FROM read_parquet($1) GROUP BY 1"
    stayed = dict(ask(by_grade, [kept])) if kept else {}
    # The judgements of lost rows stand among the verdicts, with their grades.
    query = (
        "SELECT value::INT, count(*) FROM read_parquet($1) "
        "WHERE \"table\" = 'qrels' AND lang = $2 AND outcome = 'orphaned' GROUP BY 1"
    )
    gone = dict(ask(query, [verdict_files(folder), lang])) if verdict_files(folder) else {}
    return {
        str(grade): {"in": stayed.get(grade, 0) + gone.get(grade, 0), "lost": gone.get(grade, 0)}
        for grade in sorted({*stayed, *gone}, reverse=True)
    }


def _ids(paths: Sequence[str], key: str) -> set[str]:
    return {row[0] for row in ask(f"SELECT {key} FROM read_parquet($1)", [paths])} if paths else set()


def _taken_along(folder: Path, lang: str, table: str) -> set[str]:
    paths = verdict_files(folder)
    query = 'SELECT id FROM read_parquet($1) WHERE lang = $2 AND "table" = $3 AND rule = $4'
    return {row[0] for row in ask(query, [paths, lang, table, RULE])} if paths else set()


def kept_or_lost(folder: Path, lang: str, table: str, *, lost: bool = False) -> list[str]:
    """The files of a table in a language, or of what it lost; by name, so that a release that is being written can be read."""
    pattern = f"dropped/{lang}-{table}-*-of-*.parquet" if lost else f"{lang}-{table}/*.parquet"
    return sorted(str(path) for path in folder.glob(pattern))


def verdict_files(folder: Path) -> list[str]:
    """The files of verdicts."""
    return sorted(str(path) for path in folder.glob("dropped/verdicts-*.parquet"))
