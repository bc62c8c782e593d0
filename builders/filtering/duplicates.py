"""The nodes that look for duplicates in a table of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.graph import Input, Node

if TYPE_CHECKING:
    from dsbuild.builders.filtering.filtered import Stream

BACKENDS = ("dsbuild", "datatrove")
# What says which texts are near duplicates, and what may be set of each group.
NEAR_OPTIONS = ("jaccard", "recall", "unit", "n")
DUPLICATE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "exact": ("keeper", "score"),
    "neardup": (*NEAR_OPTIONS, "keeper", "score", "backend"),
}


def duplicate_nodes(
    stream: Stream, options: Mapping[str, Mapping[str, Any]], protected: tuple[str, ...]
) -> tuple[list[Node], dict[str, Input]]:
    """Sign the rows that are still kept, find exact duplicates and, where asked, near ones; and where the findings are.

    Near duplicates are looked for among rows that are no exact ones. keeper: longest, best (by the column `score`) or earliest.
    """
    from dsbuild.filters.exact_duplicates import FindExact
    from dsbuild.filters.keepers import POLICIES
    from dsbuild.filters.sign_rows import SignRows

    groups = [group for group in ("exact", "neardup") if group in stream.groups]
    if not groups:
        return [], {}
    said: dict[str, Any] = {}
    for group in groups:
        said |= options[group]
    policy = said.get("keeper", "longest")
    if policy not in POLICIES:
        raise UnknownName("keeper policy", str(policy), POLICIES)
    backend = str(said.get("backend", BACKENDS[0]))
    if backend not in BACKENDS:
        raise UnknownName("backend of near duplicates", backend, BACKENDS)
    near = None
    if "neardup" in groups:
        near = near_of({key: value for key, value in said.items() if key in NEAR_OPTIONS})
    table = stream.table
    rows = Input(f"decide.{table}")
    sign = SignRows(
        stream.id_column,
        stream.fields,
        near=near,
        policy=policy,
        score_column=str(said.get("score", "")),
        protected=protected,
    )
    nodes = [
        Node(f"sign.{table}", sign, {"rows": rows}),
        Node(f"exact.{table}", FindExact(), {"keys": Input(f"sign.{table}", "keys", "all")}),
    ]
    found = {"exact": Input(f"exact.{table}")}
    if near is not None:
        everything = {
            "keys": Input(f"sign.{table}", "keys", "all"),
            "rows": Input(f"decide.{table}", how="all"),
            "exact": Input(f"exact.{table}", how="all"),
        }
        nodes.append(Node(f"neardup.{table}", _search(backend, stream, near), everything))
        found["near"] = Input(f"neardup.{table}")
        found["near_all"] = Input(f"neardup.{table}", how="all")
    return nodes, found


def _search(backend: str, stream: Stream, near: Any) -> Any:
    """The stage that looks for near duplicates: our own, or datatrove's blocks for sets beyond one machine."""
    if backend == "datatrove":
        from dsbuild.filters.datatrove_minhash import FindNearDatatrove

        return FindNearDatatrove({"": stream.fields}, near)
    from dsbuild.filters.near_duplicates import FindNear

    return FindNear({"": stream.fields}, near)


def near_of(options: Mapping[str, Any]) -> Any:
    """What counts as a near duplicate, from settings; a value out of its range is a `RecipeError`."""
    from dsbuild.filters.near_duplicates import Near
    from dsbuild.filters.shingles import UNITS

    for name in options:
        if name not in NEAR_OPTIONS:
            raise UnknownName("setting", f"neardup.{name}", [f"neardup.{known}" for known in NEAR_OPTIONS])
    unit = options.get("unit", "graphemes")
    if unit not in UNITS:
        raise UnknownName("shingle unit", str(unit), UNITS)
    for name in ("jaccard", "recall"):
        value = options.get(name, 0.5)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise RecipeError(f"neardup.{name}={value!r}: a number above 0, at most 1")
    size = options.get("n", 0)
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise RecipeError(f"neardup.n={size!r}: a whole number of units, 0 for the unit's default")
    near = Near(**options)
    near.bands  # noqa: B018  a recall that is out of reach is told of now, not after the reading
    return near
