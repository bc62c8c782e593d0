"""Every format of labelled sets reads its own files and writes them again; targets are read without their labels."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.builders import LABELLED
from dsbuild.builders.labelled.formats import open_labelled
from dsbuild.builders.labelled.massive import annotate
from dsbuild.builders.labelled.multitacred import Multitacred, marked, translated_row, unmarked
from dsbuild.builders.labelled.tagged_tokens import tags_of, tokens_of_text
from dsbuild.errors import SourceError, UnknownName
from dsbuild.spans import Labelled, Relation, Span, problems
from dsbuild.tokens import decode_tags

GOLD = Path(__file__).parents[2] / "shared/data/projection"
needs_gold = pytest.mark.skipif(not GOLD.is_dir(), reason="needs the projection gold beside the project")

CONLL_2003 = """-DOCSTART- -X- -X- O

Asha NNP I-NP B-PER
Rao NNP I-NP I-PER
sang VBD I-VP O
. . O O

-DOCSTART- -X- -X- O

Pune NNP I-NP B-LOC
Mumbai NNP I-NP B-LOC

"""
IOB1 = "Asha\tI-PER\nRao\tI-PER\nRavi\tB-PER\nsang\tO\n\nपुणे\tI-LOC\nमें\tO\n\n"
BIOES = "Asha\tB-PER\nRao\tE-PER\nin\tO\nPune\tS-LOC\n\n"
WITH_IDS = "# id a7\nAsha B-PER\n# O\n\n# id a8\nPune B-LOC\n\n"
UNER = """# newdoc id = d1
# sent_id = d1-1
# text = “Asha Rao” sang, in Pune.
1\t“\tO\t-\t-
2\tAsha\tB-PER\t-\tann
3\tRao\tI-PER\t-\tann
4\t”\tO\t-\t-
5\tsang\tO\t-\t-
6\t,\tO\t-\t-
7\tin\tO\t-\t-
8\tPune\tB-LOC\t-\tann
9\t.\tO\t-\t-

"""
XSID = """# id = 1
# text-en = wake me at nine
# text = mujhe nau baje jagao!
# intent = alarm/set
# slots: 6:14:datetime
1\tmujhe\talarm/set\tO
2\tnau\talarm/set\tB-datetime
3\tbaje\talarm/set\tI-datetime
4\tjagao\talarm/set\tO
5\t!\talarm/set\tO

"""
# One letter as a whole and as two code points: NFC would make one of the other and shift what follows.
RIVERS = "पुणे में \u095c और \u0921\u093c 🙂 दो नदियाँ हैं।"
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Pune",
            "paragraphs": [
                {
                    "context": RIVERS,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "कितनी?",
                            "answers": [
                                {"text": "दो", "answer_start": RIVERS.index("दो")},
                                {"text": "दो नदियाँ", "answer_start": RIVERS.index("दो")},
                            ],
                        },
                        {
                            "id": "q2",
                            "question": "कब?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [{"text": "पुणे", "answer_start": 0}],
                        },
                    ],
                },
                {"context": "Nothing is asked here.", "qas": [], "note": 3},
            ],
        },
        {"paragraphs": [{"context": "One.", "qas": [{"id": "q3", "question": "?", "answers": []}]}]},
    ],
    "more": [1, {"a": None}],
}
TACRED = {
    "id": "t1", "tokens": ["Asha", "Rao", "lives", "in", "Pune", "."], "label": "per:city", "entities": [[4, 5], [0, 2]],
    "grammar": ["OBJ", "SUBJ"], "type": ["CITY", "PERSON"], "note": "n",
}  # fmt: skip
TACRED_OWN = {
    "id": "t1", "docid": "d", "relation": "per:city", "token": ["Asha", "Rao", "lives", "in", "Pune", "."], "subj_start": 0, "subj_end": 1,
    "obj_start": 4, "obj_end": 4, "subj_type": "PERSON", "obj_type": "CITY", "stanford_pos": ["N", "N", "V", "P", "N", "."],
}  # fmt: skip
MULTITACRED = {
    **TACRED, "language": "EN", "tokens_translated": ["In", "Pune", "(", "<", "3", ")", "wohnt", "Asha", "Rao", "."],
    "entities_translated": [[1, 2], [7, 9]], "language_translated": "DE",
    "text_raw": "<H>Asha Rao</H> lives in <T>Pune</T> .", "translation_raw": "In <T>Pune</T> (&lt;3) wohnt <H>Asha Rao</H>.",
}  # fmt: skip
MASSIVE = {
    "id": 7, "locale": "de-DE", "partition": "test", "intent": "alarm_set", "utt": "weck mich um neun am freitag",
    "annot_utt": "weck mich um [time : neun] am [date : freitag]", "slot_method": [{"slot": "time", "method": "translation"}],
}  # fmt: skip
ESSAYS = """Title_en\tO

We_en\tO
say_en\tB-Claim
so_en\tI-Claim
._en\tO

Because_en\tB-Premise
it_en\tI-Premise
is_en\tI-Premise


Other_en\tB-MajorClaim

"""
SPANS = [
    {
        "id": "s1", "text": "give 🙂 it up, Ash", "lang": "en",
        "spans": [
            {"id": "v", "pieces": [[0, 4], [10, 12]], "label": "VERB"},
            {"id": "o", "start": 7, "end": 9, "label": "OBJ"},
            {"id": "n", "start": 0, "end": 9, "label": "PHRASE"},
        ],
        "relations": [{"head": "v", "tail": "o", "label": "object"}], "source": {"page": 3}, "tags": ["a", 1, None],
    },
    {"id": "s2", "text": "אבג", "lang": "en", "spans": [], "relations": []},
]  # fmt: skip


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES = {
    "conll-2003": ("conll", "a.conll", CONLL_2003), "conll-iob1": ("conll", "a.tsv", IOB1), "conll-bioes": ("conll", "a.tsv", BIOES),
    "conll-ids": ("conll", "a.conll", WITH_IDS), "uner": ("uner", "a.iob2", UNER), "xsid": ("xsid", "a.conll", XSID),
    "squad": ("squad", "a.json", json.dumps(SQUAD)), "xquad": ("xquad", "a.json", json.dumps(SQUAD, ensure_ascii=False)),
    "tacred": ("tacred", "a.jsonl", lines(TACRED)), "tacred-own": ("tacred", "a.json", json.dumps([TACRED_OWN])),
    "multitacred": ("multitacred", "a.jsonl", lines(MULTITACRED)), "massive": ("massive", "a.jsonl", lines(MASSIVE)),
    "essays": ("essays", "a.en", ESSAYS), "spans": ("spans", "a.jsonl", lines(*SPANS)),
}  # fmt: skip


def answer(context, text, start):
    asked = {"id": "q", "answers": [{"text": text, "answer_start": start}]}
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [asked]}]}]})


def spanned(**span):
    return lines({"id": "a", "text": "abc", "spans": [span]})


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def opened(folder, kind, text, name="in.txt", lang=None, **options):
    return open_labelled(f"{kind}:{put(folder, name, text)}", lang=lang, options=options)


def content(path):
    """A file's value: JSON by value, all else by its characters."""
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.split("\n") if line]
    return json.loads(text) if name.endswith(".json") else text


def surfaces(items):
    return [[(span.label, span.surface(item.text)) for span in item.spans] for item in items]


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", FILES)
def test_each_format_comes_back_as_it_was(tmp_path, name, packed):
    kind, file, text = FILES[name]
    source = opened(tmp_path, kind, text, file + packed)
    items = list(source.read())
    assert items
    assert [problems(item) for item in items] == [[]] * len(items)
    assert source.write(iter(items), tmp_path / "out" / source.path.name) == len(items)
    assert content(tmp_path / "out" / source.path.name) == content(source.path)
    targets = list(source.targets())
    assert [(one.id, one.text, one.lang) for one in targets] == [(one.id, one.text, one.lang) for one in items]
    assert not any(one.spans or one.relations or "layout" in one.extra for one in targets)


@pytest.mark.parametrize("name", FILES)
def test_spans_and_parquet_hold_what_every_format_says(tmp_path, name):
    kind, file, text = FILES[name]
    source = opened(tmp_path, kind, text, file)
    items = list(source.read())
    table = open_labelled(f"parquet:{tmp_path / 'rows.parquet'}")
    table.write(items, table.path)
    assert list(table.read()) == items
    assert [one.spans for one in table.targets()] == [()] * len(items)
    source.write(table.read(), tmp_path / "again" / file)
    assert content(tmp_path / "again" / file) == content(source.path)
    loose = open_labelled(f"spans:{tmp_path / 'rows.jsonl'}")
    loose.write(items, loose.path)
    assert [(one.text, one.spans, one.relations) for one in loose.read()] == [
        (i.text, i.spans, i.relations) for i in items
    ]


def test_every_kind_is_tested_and_can_be_loaded():
    assert set(LABELLED.names()) == {kind for kind, _, _ in FILES.values()} | {"parquet"}
    assert all(LABELLED.get(name).kind for name in LABELLED.names())


def test_what_each_reader_finds(tmp_path):
    def found(name):
        kind, file, text = FILES[name]
        return list(opened(tmp_path, kind, text, file).read())

    assert surfaces(found("conll-2003")) == [[("PER", "Asha Rao")], [("LOC", "Pune"), ("LOC", "Mumbai")]]
    assert [one.extra["document"] for one in found("conll-2003")] == [1, 2]
    assert surfaces(found("conll-iob1")) == [[("PER", "Asha Rao"), ("PER", "Ravi")], [("LOC", "पुणे")]]
    assert surfaces(found("conll-bioes")) == [[("PER", "Asha Rao"), ("LOC", "Pune")]]
    assert [one.id for one in found("conll-ids")] == ["a7", "a8"]
    assert found("conll-ids")[0].text == "Asha #"
    assert surfaces(found("uner")) == [[("PER", "Asha Rao"), ("LOC", "Pune")]]
    assert found("uner")[0].text == "“Asha Rao” sang, in Pune."
    (slot,) = found("xsid")
    assert (slot.extra["intent"], slot.extra["text_en"]) == ("alarm/set", "wake me at nine")
    assert surfaces([slot]) == [[("datetime", "nau baje")]]
    first, empty, _ = found("squad")
    assert [span.span_id for span in first.spans] == ["q1", "q1#1", "q2"]
    assert surfaces([first]) == [[("answer", "दो"), ("answer", "दो नदियाँ"), ("plausible_answer", "पुणे")]]
    assert (first.id, first.extra["title"], empty.id) == ("q1", "Pune", "article 0, paragraph 1")
    (pair,) = found("tacred")
    assert surfaces([pair]) == [[("CITY", "Pune"), ("PERSON", "Asha Rao")]]
    assert pair.relations == (Relation("SUBJ", "OBJ", "per:city"),)
    (own,) = found("tacred-own")
    assert surfaces([own]) == [[("PERSON", "Asha Rao"), ("CITY", "Pune")]]
    (pair,) = found("multitacred")
    assert (pair.text, pair.lang) == ("In Pune (<3) wohnt Asha Rao.", "de")
    (utterance,) = found("massive")
    assert surfaces([utterance]) == [[("time", "neun"), ("date", "freitag")]]
    assert (utterance.lang, utterance.id) == ("de-DE", "7")
    assert surfaces(found("essays")) == [
        [],
        [("Claim", "say so")],
        [("Premise", "Because it is")],
        [("MajorClaim", "Other")],
    ]
    assert [one.id for one in found("essays")] == ["0.0", "0.1", "0.2", "1.0"]
    assert {one.lang for one in found("essays")} == {"en"}
    assert surfaces(found("spans"))[0] == [("VERB", "give up"), ("OBJ", "it"), ("PHRASE", "give 🙂 it")]


def test_essays_as_whole_texts_hold_spans_over_paragraphs(tmp_path):
    text = "We\tO\nsay\tB-Claim\n\nso\tI-Claim\n.\tO\n\n\nEnd\tO\n\n"
    with pytest.raises(SourceError, match=r"in\.txt:4: tag 0 'I-Claim'.*unit=essay"):
        list(opened(tmp_path, "essays", text).read())
    source = opened(tmp_path, "essays", text, unit="essay")
    items = list(source.read())
    assert surfaces(items) == [[("Claim", "say\nso")], []]
    source.write(items, tmp_path / "out")
    assert (tmp_path / "out").read_text() == text


def test_conll_tells_uner_and_xsid_by_their_data(tmp_path):
    assert [opened(tmp_path, "conll", text).kind for text in (UNER, XSID, BIOES)] == ["uner", "xsid", "conll"]


def test_texts_of_tokens_have_spaces_where_their_script_has(tmp_path):
    text = "张\tB-PER\n伟\tI-PER\n在\tO\nNew\tB-LOC\nYork\tI-LOC\n住\tO\n。\tO\n\nปุณ\tO\nเณ\tO\n\n"
    items = list(opened(tmp_path, "conll", text).read())
    assert [one.text for one in items] == ["张伟在 New York 住。", "ปุณเณ"]
    assert surfaces(items)[0] == [("PER", "张伟"), ("LOC", "New York")]
    assert next(opened(tmp_path, "conll", text, spaces="yes").read()).text == "张 伟 在 New York 住 。"
    assert next(opened(tmp_path, "conll", text, spaces="no").read()).text == "张伟在NewYork住。"


def test_tabs_let_tokens_hold_spaces(tmp_path):
    source = opened(tmp_path, "conll", "10 000\tB-NUM\n\u00a0x\u2028y\tO\n\n".replace("\u00a0x", "x"))
    (item,) = source.read()
    assert item.extra["tokens"] == ["10 000", "x\u2028y"]


def test_all_sides_of_a_translated_row(tmp_path):
    sides = {
        side: next(opened(tmp_path, "multitacred", lines(MULTITACRED), "a.jsonl", side=side).read())
        for side in ("source", "translated")
    }
    assert marked(sides["source"]) == MULTITACRED["text_raw"]
    assert marked(sides["translated"]) == MULTITACRED["translation_raw"]
    assert unmarked(MULTITACRED["translation_raw"]) == sides["translated"].text
    with pytest.raises(SourceError, match="no tokens_backtranslated; say which side"):
        list(opened(tmp_path, "multitacred", lines(MULTITACRED), "a.jsonl", side="backtranslated").read())
    back = {
        **MULTITACRED, "text_raw": MULTITACRED["translation_raw"], "translation_raw": "In <T>Pune</T> lives <H>Asha</H>.",
        "tokens_backtranslated": ["In", "Pune", "lives", "Asha", "."], "entities_backtranslated": [[1, 2], [3, 4]], "language_backtranslated": "EN",
    }  # fmt: skip
    for side, text in (("translated", sides["translated"].text), ("backtranslated", "In Pune lives Asha.")):
        source = opened(tmp_path, "multitacred", lines(back), "b.jsonl", side=side)
        (item,) = source.read()
        assert item.text == text
        source.write([item], tmp_path / "out.jsonl")
        assert content(tmp_path / "out.jsonl") == [back]


def test_a_translation_of_tacred_becomes_a_row_of_multitacred(tmp_path):
    source = opened(tmp_path, "tacred", lines({**TACRED, "language": "EN"}), "a.jsonl")
    (item,) = source.read()
    text = "In Pune wohnt Asha Rao."
    target = Labelled(
        item.id, text, "de", extra={"row": {"tokens": item.extra["tokens"], "text_raw": marked(item), "note": "n"}}
    )
    spans = (Span("OBJ", "CITY", ((3, 7),)), Span("SUBJ", "PERSON", ((14, 22),)))
    row = translated_row(Multitacred(Path("x")).carried(Labelled("t1", "", "en", (), item.relations), target, spans))
    assert row["tokens_translated"] == ["In", "Pune", "wohnt", "Asha", "Rao", "."]
    assert (row["entities_translated"], row["language_translated"]) == ([[1, 2], [3, 5]], "DE")
    assert row["translation_raw"] == "In <T>Pune</T> wohnt <H>Asha Rao</H>."
    assert row["text_raw"] == "<H>Asha Rao</H> lives in <T>Pune</T> ."
    assert (row["tokens"], row["label"], row["note"]) == (TACRED["tokens"], "per:city", "n")


@pytest.mark.parametrize("name", FILES)
def test_labels_of_a_target_are_never_read(tmp_path, name):
    """Labels that no reader would take are not even noticed."""
    kind, file, text = FILES[name]
    plain = list(opened(tmp_path, kind, text, file).targets())
    if file.endswith((".json", ".jsonl")):
        rows = content(tmp_path / file)
        spoilt = {"entities", "entities_translated", "grammar", "type", "label", "relation", "subj_start", "annot_utt", "slot_method",
                  "spans", "relations", "answers", "plausible_answers", "obj_end", "is_impossible"}  # fmt: skip

        def spoil(value):
            if isinstance(value, dict):
                return {key: "?" if key in spoilt else spoil(inner) for key, inner in value.items()}
            return [spoil(inner) for inner in value] if isinstance(value, list) else value

        bad = json.dumps(spoil(rows)) if file.endswith(".json") else lines(*map(spoil, rows))
    else:
        split = [line.rsplit(maxsplit=1) if line and line[0] not in "#-" else [line] for line in text.split("\n")]
        gap = "\t" if "\t" in text else " "
        column = 2 if kind == "uner" else -1
        if kind == "uner":
            split = [line.split("\t") if "\t" in line else [line] for line in text.split("\n")]
        bad = "\n".join(
            gap.join([*row[:column], "??", *(row[column + 1 :] if column > 0 else [])]) if len(row) > 1 else row[0]
            for row in split
        )
    assert bad != text
    assert list(opened(tmp_path / "bad", kind, bad, file).targets()) == plain


def test_labels_move_to_a_target_and_back_to_the_format(tmp_path):
    source = opened(tmp_path, "xsid", XSID, "a.conll")
    (item,) = source.read()
    target = Labelled(
        "9", "पुणे में नौ बजे, उठाना", "hi", extra={"tokens": ["पुणे", "में", "नौ", "बजे,", "उठाना"], "numbered": True}
    )
    carried = source.carried(item, target, [Span("0", "datetime", ((9, 15),))])
    assert (carried.id, carried.lang, carried.extra["intent"]) == ("1", "hi", "alarm/set")
    source.write([carried], tmp_path / "out")
    written = (tmp_path / "out").read_text()
    assert "# text = पुणे में नौ बजे, उठाना\n" in written
    assert "# slots" not in written
    assert "4\tबजे,\talarm/set\tI-datetime" in written  # punctuation of a token does not keep it out


def test_squad_takes_the_targets_questions(tmp_path):
    source = opened(tmp_path, "squad", json.dumps(SQUAD), "en.json")
    german = json.loads(json.dumps(SQUAD))
    german["data"][0]["paragraphs"][0]["qas"][0]["question"] = "Wie viele?"
    target = next(opened(tmp_path, "squad", json.dumps(german), "de.json").targets())
    item = next(source.read())
    carried = source.carried(item, target, [item.spans[1]])
    source.write([carried], tmp_path / "out.json")
    (first, second) = content(tmp_path / "out.json")["data"][0]["paragraphs"][0]["qas"]
    assert (first["question"], [one["text"] for one in first["answers"]]) == ("Wie viele?", ["दो नदियाँ"])
    assert second["plausible_answers"] == []


@pytest.mark.parametrize(
    ("kind", "text", "options", "said"),
    [
        ("conll", "A\tI-PER\nb\tO\nC\tB-LOC\n\n", {}, r"in\.txt:1: I- begins a span .*line 3 B-.*scheme=iob1 or scheme=iob2"),
        ("conll", "A\tB-PER\nb\tI-LOC\n\n", {"scheme": "iob2"}, r"in\.txt:1: tag 1 'I-LOC'.*bad_tags=O"),
        ("conll", "A\tO\n" * 20 + "b\tOTHER\n\n", {}, r"in\.txt:21: 'OTHER' is no tag.*bad_tags=O"),
        ("conll", "A\tNN\n\n", {}, r"in\.txt:1: 'NN' is no tag .*tag_column=N"),
        ("conll", "A\tO\tO\tx\n\n", {}, r"columns 2, 3 all hold tags; say which: tag_column=N"),
        ("conll", "A\tO\n\n", {"tag_column": "5"}, r"columns 1 to 2"),
        ("conll", "A B-PER\nb c O\n\n", {}, r"in\.txt:2: 3 columns where the file began with 2"),
        ("conll", "A\n\n", {}, r"in\.txt:1: 1 columns, a token and no tag"),
        ("conll", "A\tO\n\tO\n\n", {}, r"in\.txt:2: an empty token"),
        ("conll", "\n\n", {}, r"no sentence in it"),
        ("conll", "# id a\nA O\n\nB O\n\n", {}, r"in\.txt:4: some sentences have an id and some have none"),
        ("conll", "# id a\nA O\n\n# id a\nB O\n\n", {}, r"in\.txt:5: the id 'a' comes twice"),
        ("uner", UNER.replace("3\tRao", "3-4\tRao"), {}, r"in\.txt:6: the token's number is '3-4' where 3 comes next"),
        ("uner", UNER.replace("\tI-PER", "\tOTHER"), {}, r"in\.txt:4: tag 2 'OTHER'.*bad_tags=O"),
        ("uner", UNER.replace("\tRao\t", "\tRaö\t"), {}, r"in\.txt:4: token 2 'Raö' is not what stands at 6"),
        ("uner", UNER.replace("Asha Rao”", "Asha Raö”").replace("\tRao\t", "\tRao\u0308\t"), {}, r"the same after NFC.*text=tokens"),
        ("uner", UNER.replace("# text", "# txt"), {}, r"in\.txt:4: no line # text"),
        ("xsid", XSID.replace("\tO\n2", "\n2"), {}, r"in\.txt:6: 3 columns where 4 are wanted"),
        ("squad", answer("abc", "b", 2),
         {}, r"answer 'q': 'b' is not what stands at 2 of its context, 'c'"),
        ("squad", answer("xe\u0301", "\xe9", 1), {}, r"answer 'q': .*they are the same after NFC"),
        ("squad", json.dumps({"data": [{"paragraphs": [{"context": "a", "qas": [{"id": "q"}, {"id": "q"}]}]}]}), {}, r"question id 'q' comes twice"),
        ("squad", json.dumps({"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "?"}]}]}]}), {}, r"has no id"),
        ("squad", json.dumps({"data": [{"paragraphs": [{"context": " ", "qas": [{"id": "q"}]}]}]}), {}, r"id 'q': the text is empty"),
        ("squad", '{"data": [{"paragraphs": [', {}, r"element of 'data' 0 is not JSON"),
        ("squad", '{"rows": []}', {}, r"no array 'data' in it"),
        ("squad", "[]", {}, r"begins with '\[' where an object"),
        ("squad", json.dumps({"data": []}), {}, r"no paragraph in it"),
        ("tacred", lines({**TACRED, "entities": [[4, 5], [0, 9]]}), {}, r"in\.txt:1: SUBJ at tokens 0-9 is not among the 6 tokens"),
        ("tacred", lines({**TACRED, "grammar": ["SUBJ", "SUBJ"]}), {}, r"must name one SUBJ and one OBJ"),
        ("tacred", lines({**TACRED, "label": ""}), {}, r"no label"),
        ("tacred", lines({**TACRED, "tokens": ["a", ""]}), {}, r"token 1 of tokens is ''"),
        ("tacred", lines(TACRED, TACRED), {}, r"in\.txt:2: the id 't1' comes twice"),
        ("tacred", "{\n", {}, r"in\.txt:1: not JSON"),
        ("multitacred", lines({**MULTITACRED, "translation_raw": "In <T>Pune</T>."}), {}, r"translation_raw: token 2 .*text=tokens"),
        ("massive", lines({**MASSIVE, "utt": "anders"}), {}, r"in\.txt:1: annot_utt without its slots"),
        ("massive", lines({**MASSIVE, "annot_utt": "a [time : ]"}), {}, r"the slot '\[time : \]' has no text"),
        ("essays", "A\tO\tx\n", {}, r"in\.txt:1: 'A\\tO\\tx': wanted is a token, a tab and its tag"),
        ("spans", spanned(start=1, end=9, label="X"), {}, r"in\.txt:1: id 'a': span '0': 1-9 is not inside"),
        ("spans", spanned(start=1, end=2, label="X", text="c"), {}, r"says 'c' and 'b' stands there"),
        ("spans", spanned(start="1", end=2, label="X"), {}, r"must be whole numbers"),
        ("spans", lines({"id": "a", "text": "abc", "spans": [], "relations": [{"head": "1", "tail": "2", "label": "r"}]}), {}, r"names span '1'"),
        ("spans", lines({"id": "a", "text": "abc"}), {}, r"spans must be a list of objects"),
        ("spans", lines({"id": 3, "text": "abc", "spans": []}), {}, r"the id 3 is no text"),
        ("spans", lines({"text": "abc", "spans": []}, {"id": "a", "text": "b", "spans": []}), {}, r"in\.txt:2: some rows have an id"),
        ("spans", lines({"id": "a", "text": "\ud800", "spans": []}), {}, r"half a surrogate pair at 0"),
        ("spans", lines({"id": "a", "text": "", "spans": []}), {}, r"the text is empty"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_says_where(tmp_path, kind, text, options, said):
    with pytest.raises(SourceError, match=said) as error:
        list(opened(tmp_path, kind, text, **options).read())
    assert "\n" not in str(error.value)


def test_bad_tags_can_be_mended(tmp_path):
    text = "A\tB-PER\nb\tI-LOC\nc\tI-LOC\nd\t??\n" + "e\tO\n" * 40 + "\n"
    for how, spans in (("O", [("PER", "A")]), ("begin", [("PER", "A"), ("LOC", "b c")])):
        source = opened(tmp_path, "conll", text, scheme="iob2", bad_tags=how)
        assert surfaces(source.read()) == [spans]
        assert source.notes() == [f"{3 if how == 'O' else 2} tags of {source.path} were mended (bad_tags={how})"]
    source = opened(tmp_path, "uner", UNER.replace("\tB-LOC", "\tB29"), bad_tags="O")
    assert surfaces(source.read()) == [[("PER", "Asha Rao")]]


def test_what_a_kind_does_not_know_is_named(tmp_path):
    with pytest.raises(UnknownName, match=r"no kind of labelled set 'connl'. Did you mean 'conll'"):
        open_labelled("connl:x")
    with pytest.raises(UnknownName, match=r"no option of conll: 'schema'. Did you mean 'scheme'"):
        open_labelled("conll:x", options={"schema": "iob1"})
    with pytest.raises(UnknownName, match=r"no value of the option scheme of conll: 'iob3'"):
        open_labelled("conll:x", options={"scheme": "iob3"})
    with pytest.raises(UnknownName, match="no language 'hindi'"):
        open_labelled("conll:x", lang="hindi")
    with pytest.raises(SourceError, match="which file"):
        open_labelled("conll:")
    for kind in LABELLED.names():
        with pytest.raises(SourceError, match="no such file"):
            list(open_labelled(f"{kind}:{tmp_path / 'nothing'}").read())
    with pytest.raises(SourceError, match="is in 'de-DE', and you said 'hi'"):
        list(opened(tmp_path, "massive", lines(MASSIVE), lang="hi").read())


CROSSING = Labelled("a", "one two three", "en", (Span("1", "X", ((0, 7),)), Span("2", "Y", ((4, 13),))))


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        ("conll", CROSSING, "overlap at token 1"),
        ("xsid", CROSSING, "overlap at token 1"),
        ("essays", CROSSING, "overlap at token 1"),
        ("massive", CROSSING, "overlap or are discontinuous"),
        ("squad", CROSSING, "span '1' answers no question"),
        ("tacred", CROSSING, "not just a span SUBJ and a span OBJ"),
        ("multitacred", CROSSING, "not just a span SUBJ and a span OBJ"),
        ("conll", Labelled("a", "one two three", "en", (Span("1", "X", ((0, 3), (8, 13))),)), "'1' .X. is discontinuous"),
        ("conll", Labelled("a", "onetwo", "en", (Span("1", "X", ((0, 3),)),), (), {"tokens": ["onetwo"]}), "cuts a token.*cut_tokens=cover"),
        ("massive", Labelled("a", "a [b : c] d", "en"), "square brackets"),
        ("uner", Labelled("a", "a\nb", "en"), "line break"),
    ],
)  # fmt: skip
def test_what_a_format_cannot_show_is_refused_whole(tmp_path, kind, item, said):
    path = tmp_path / "out.txt"
    with pytest.raises(SourceError, match=rf"id 'a': .*{said}.*write spans: or parquet:"):
        open_labelled(f"{kind}:{path}").write([item], path)
    assert not path.exists()


def test_cut_tokens_are_covered_when_asked(tmp_path):
    item = Labelled("a", "onetwo कि", "en", (Span("1", "X", ((0, 3),)),), (), {"tokens": ["onetwo", "कि"]})
    path = tmp_path / "out.txt"
    open_labelled(f"conll:{path}", options={"cut_tokens": "cover"}).write([item], path)
    assert path.read_text() == "onetwo\tB-X\nकि\tO\n\n"
    mark = Labelled("a", "कि", "hi", (Span("1", "X", ((0, 1),)),), (), {"tokens": ["कि"]})
    with pytest.raises(SourceError, match="cuts a token"):
        open_labelled(f"conll:{path}").write([mark], path)


WORDS = st.lists(st.text(st.sampled_from("aé您कि்๑🙂'.אب👩‍🔬"), min_size=1, max_size=6), min_size=1, max_size=8)


@given(WORDS, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9), st.sampled_from("XY")), max_size=4))
def test_tokens_made_for_a_text_never_shift_a_span(words, drawn):
    text = " ".join(words)
    spans, at = [], 0
    for skip, length, label in drawn:
        start = at + skip
        end = min(start + length, len(text))
        if start < end and not text[start].isspace() and not text[end - 1].isspace():
            spans.append(Span(str(len(spans)), label, ((start, end),)))
            at = end
    item = Labelled("1", text, "en", tuple(spans))
    tokens, places = tokens_of_text(item)
    assert "".join(tokens) == "".join(text.split())
    found = decode_tags(tags_of(item, places, "iob2"))
    assert [(label, places[start][0], places[end - 1][1]) for start, end, label in found] == [
        (span.label, span.start, span.end) for span in spans
    ]
    assert not spans or annotate(item).count(" : ") >= len(spans)


def test_ten_thousand_characters_right_to_left_marks_and_emoji(tmp_path):
    text = ("مرحبا 👩‍🔬 नमस्ते é " * 600).strip()
    assert len(text) > 10_000
    start = text.rindex("नमस्ते")
    items = [Labelled("a", text, "ar", (Span("0", "X", ((start, start + 6),)),))]
    for kind in ("spans", "parquet", "uner", "massive"):
        writer = open_labelled(f"{kind}:{tmp_path / kind}")
        writer.write(items, writer.path)
        (again,) = writer.read()
        assert (again.text, again.spans) == (text, items[0].spans)


def test_parquet_reads_the_tables_of_a_release(tmp_path):
    for lang in ("en", "hi"):
        item = Labelled("a", f"text {lang}", lang, (Span("0", "X", ((0, 4),)),), (), {"n": 1})
        (tmp_path / f"{lang}-labelled").mkdir()
        open_labelled("parquet:x").write([item], tmp_path / f"{lang}-labelled" / "train-00000-of-00001.parquet")
    assert [one.text for one in open_labelled(f"parquet:{tmp_path}", lang="hi").read()] == ["text hi"]
    with pytest.raises(SourceError, match="it holds en, hi; say which"):
        list(open_labelled(f"parquet:{tmp_path}").read())
    with pytest.raises(SourceError, match="no de-labelled in it"):
        list(open_labelled(f"parquet:{tmp_path}", lang="de").read())
    with pytest.raises(SourceError, match="no Parquet file of the split 'test'"):
        list(open_labelled(f"parquet:{tmp_path}", lang="hi", options={"split": "test"}).read())


def _gold():
    tagged = [
        ("conll", path)
        for path in (
            *GOLD.glob("hiner_hi/*.gz"),
            *GOLD.glob("ote_en2es/*/*/*.tsv.gz"),
            *GOLD.glob("uner_pud/*.iob2.gz"),
        )
    ]
    json_files = [("xquad", path) for path in GOLD.glob("xquad/*.json.gz")]
    relations = [("tacred", path) for path in GOLD.glob("multitacred_samples/en/*.jsonl")]
    relations += [("multitacred", path) for path in GOLD.glob("multitacred_samples/de/*.jsonl")]
    return sorted([*tagged, *json_files, *relations, *(("xsid", path) for path in GOLD.glob("xsid/*.gz"))])


@needs_gold
def test_published_sets_come_back_as_they_were(tmp_path):
    files = _gold()
    assert len(files) == 24
    for kind, path in files:
        source = open_labelled(f"{kind}:{path}")
        out = tmp_path / path.name
        assert source.write(source.read(), out) > 0
        assert content(out) == content(path), path.name
        assert all(not one.spans for one in source.targets())


@pytest.mark.parametrize(
    "text", ["a < b > c", "it says &lt;H&gt; & so", "&amp;lt; and &amp;amp;gt;", "<H>", "&lt", "R&D"]
)
def test_the_raw_form_of_multitacred_gives_every_text_back(text: str) -> None:
    said = Labelled(
        "1", f"Ada {text} Bo", "de", (Span("SUBJ", "X", ((0, 3),)), Span("OBJ", "X", ((5 + len(text), 7 + len(text)),)))
    )
    assert unmarked(marked(said)) == said.text
