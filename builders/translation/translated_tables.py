"""The nodes that translate tables into one language, once their texts are cut into distinct segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild.graph import Input, Node
from dsbuild.stage import Stage
from dsbuild.translate.translation import TranslateSegments


@dataclass(frozen=True)
class TranslatedTable:
    """A table whose columns `fields` are translated. rows: where it is, shard by shard; its segments are `segment.<table>`.

    origin: whether the rows say where their texts come from; judged: the judgements of an evaluation set, whose rows are never dropped.
    """

    table: str
    id_column: str
    fields: tuple[str, ...]
    rows: Input
    origin: bool = False
    judged: Input | None = None


def translated_nodes(
    stage: TranslateSegments, model: Mapping[str, Any], tables: Sequence[TranslatedTable], bitext: Mapping[str, float],
    *, examples: Stage | None = None, phrases: Input | None = None,
) -> list[Node]:  # fmt: skip
    """Translate the segments of `unique`, check them, put the rows of each table together and decide on them (`decide.<lang>.<table>`).

    model: what identifies the engines; bitext: thresholds of the checks; examples: the stage that finds similar segments; phrases: what
    must come out of a segment in one form.
    """
    from dsbuild.filters.checks import CheckTranslations
    from dsbuild.filters.decide_rows import DecideRows
    from dsbuild.translate.assemble import AssembleRows

    lang, segments = stage.tgt, Input("unique")
    nodes: list[Node] = []
    inputs = {"segments": segments}
    if examples is not None:
        nodes.append(Node(f"examples.{lang}", examples, {"segments": segments}))
        inputs["examples"] = Input(f"examples.{lang}")
    if phrases is not None:
        inputs["phrases"] = phrases
    translated, checked = f"translate.{lang}", f"check.{lang}"
    nodes += [
        Node(translated, stage, inputs, model),
        Node(checked, CheckTranslations(stage.src, lang), {"segments": segments, "translated": Input(translated)}),
    ]
    for one in tables:
        assembled, decided = f"assemble.{lang}.{one.table}", f"decide.{lang}.{one.table}"
        parts = {
            "uids": Input("unique", one.table), "rows": one.rows, "segments": Input(f"segment.{one.table}"),
            "translated": Input(translated, how="needed"), "checked": Input(checked, how="needed"),
        }  # fmt: skip
        rows = {"rows": Input(assembled), **({"qrels": one.judged} if one.judged else {})}
        judged = "never dropped" if one.judged else ""
        nodes += [
            Node(assembled, AssembleRows(lang, one.id_column, one.fields, origin=one.origin), parts),
            Node(decided, DecideRows(one.table, lang, one.id_column, dict(bitext), judged=judged), rows),
        ]
    return nodes
