"""The nodes that translate tables: every build lays them out alike."""

from __future__ import annotations

from dsbuild.builders.translation.translated_tables import TranslatedTable, translated_nodes
from dsbuild.graph import Input
from dsbuild.stage import parameters
from dsbuild.translate.translation import EngineChoice, TranslateSegments

STAGE = TranslateSegments("en", "hi", EngineChoice("mini"), "a:b")


def test_tables_share_their_segments_and_are_decided_on_one_by_one() -> None:
    corpus = TranslatedTable("corpus", "doc_id", ("title", "text"), Input("mend.corpus"))
    queries = TranslatedTable(
        "queries", "query_id", ("text",), Input("read", "queries"), True, Input("sound", "qrels", "all")
    )
    nodes = translated_nodes(STAGE, {"mini": {}}, [corpus, queries], {"max_loop": 0.2})
    assert [node.name for node in nodes] == [
        "translate.hi", "check.hi", "assemble.hi.corpus", "decide.hi.corpus", "assemble.hi.queries", "decide.hi.queries",
    ]  # fmt: skip
    by_name = {node.name: node for node in nodes}
    assert by_name["translate.hi"].model == {"mini": {}}
    assert by_name["assemble.hi.corpus"].inputs["rows"] == Input("mend.corpus")
    assert parameters(by_name["assemble.hi.queries"].stage)["origin"]
    plain, judged = by_name["decide.hi.corpus"], by_name["decide.hi.queries"]
    assert (parameters(plain.stage)["judged"], set(plain.inputs)) == ("", {"rows"})
    assert (bool(parameters(judged.stage)["judged"]), set(judged.inputs)) == (True, {"rows", "qrels"})
    assert parameters(plain.stage)["settings"] == {"max_loop": 0.2}


def test_examples_and_phrases_are_inputs_where_there_are_any() -> None:
    table = TranslatedTable("documents", "doc_id", ("text",), Input("records"))
    nodes = translated_nodes(STAGE, {}, [table], {}, examples=STAGE, phrases=Input("fix.hi"))
    assert [node.name for node in nodes][:2] == ["examples.hi", "translate.hi"]
    assert {name: one.node for name, one in nodes[1].inputs.items()} == {
        "segments": "unique", "examples": "examples.hi", "phrases": "fix.hi",
    }  # fmt: skip
