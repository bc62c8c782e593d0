"""`squad:` and `xquad:` questions with answers in a paragraph: one text a paragraph, one span an answer.

Format: SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018), XQuAD (Artetxe et al. 2020). A text's id is that of its first question, a
span's that of its question (`ID`, `ID#1`, …). `extra` has title, article (its number) and `qas`, the questions as they came with the
answers by span id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar
from unicodedata import normalize

from dsbuild.builders.labelled.formats import UNKNOWN_LANG, LabelledFile, Sound, as_json, cannot_show, write_parts
from dsbuild.builders.sources.json_members import members
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Span

LABELS = {"answers": "answer", "plausible_answers": "plausible_answer"}
_SHOWN = 60


@dataclass
class Squad(LabelledFile):
    """Paragraphs with the answers of their questions; questions without an answer stay."""

    kind: ClassVar[str] = "squad"

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        return self._paragraphs(labels=True)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: contexts, and of each question its id and text."""
        return self._paragraphs(labels=False)

    def _paragraphs(self, *, labels: bool) -> Iterator[Labelled]:
        sound = Sound(self.path, empty=not labels)
        questions: set[str] = set()
        waiting: Labelled | None = None
        header: dict[str, Any] = {}
        articles = 0
        for name, value in members(self.path, "data"):
            if name != "data":
                header[name] = value
                continue
            for place, paragraph in enumerate(self._list(value, "paragraphs", f"article {articles}")):
                if waiting is not None:
                    yield waiting
                waiting = sound(self._text(value, paragraph, (articles, place), questions, labels=labels))
            articles += 1
        if waiting is None:
            raise SourceError(f"{self.path}: no paragraph in it")
        # What stands beside `data` may stand after it: the last text carries it.
        yield replace(waiting, extra={**waiting.extra, "file": header}) if header and labels else waiting

    def _list(self, value: Any, key: str, where: str) -> list[Any]:
        found = value.get(key) if isinstance(value, Mapping) else None
        if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
            raise SourceError(f"{self.path}: {where} has no list of {key}; is it a SQuAD file?")
        return found

    def _text(
        self,
        article: Mapping[str, Any],
        paragraph: Mapping[str, Any],
        at: tuple[int, int],
        questions: set[str],
        *,
        labels: bool,
    ) -> Labelled:
        number, place = at
        where = f"a paragraph of article {number}"
        context = paragraph.get("context")
        if not isinstance(context, str):
            raise SourceError(f"{self.path}: {where} has no context")
        qas = self._list(paragraph, "qas", where)
        for one in qas:
            name = one.get("id")
            if not isinstance(name, str) or not name:
                raise SourceError(
                    f"{self.path}: a question of article {number} has no id: {str(one.get('question'))[:_SHOWN]!r}; give it one"
                )
            if name in questions:
                raise SourceError(f"{self.path}: the question id {name[:_SHOWN]!r} comes twice; ids must stand once")
            questions.add(name)
        title = article.get("title")
        extra: dict[str, Any] = {"article": number, **({"title": title} if isinstance(title, str) else {})}
        spans: list[Span] = []
        if labels:
            extra["qas"] = [self._question(one, context, spans) for one in qas]
            extra["article_row"] = {key: value for key, value in article.items() if key not in ("paragraphs", "title")}
            extra["paragraph_row"] = {key: value for key, value in paragraph.items() if key not in ("context", "qas")}
            extra = {key: value for key, value in extra.items() if value != {}}
        else:
            extra["questions"] = {one["id"]: one["question"] for one in qas if "question" in one}
        # A paragraph without questions has only its place to be known by.
        name = qas[0]["id"] if qas else f"article {number}, paragraph {place}"
        return Labelled(name, context, self.lang or UNKNOWN_LANG, tuple(spans), (), extra)

    def _question(self, one: Mapping[str, Any], context: str, spans: list[Span]) -> dict[str, Any]:
        row = dict(one)
        begun = 0
        for key, label in LABELS.items():
            if key not in one:
                continue
            named = []
            for answer in self._list(one, key, f"question {one['id']!r}"):
                span_id = f"{one['id']}#{begun}" if begun else one["id"]
                begun += 1
                spans.append(self._answer(answer, context, span_id, label))
                named.append(
                    {**{k: v for k, v in answer.items() if k not in ("text", "answer_start")}, "span": span_id}
                )
            row[key] = named
        return row

    def _answer(self, answer: Mapping[str, Any], context: str, span_id: str, label: str) -> Span:
        text, start = answer.get("text"), answer.get("answer_start")
        where = f"{self.path}: answer {span_id!r}"
        if not isinstance(text, str) or not text or not isinstance(start, int) or isinstance(start, bool):
            raise SourceError(f"{where} has no text and answer_start; remove it (a question without answers may stay)")
        found = context[start : start + len(text)] if start >= 0 else ""
        if found != text:
            why = (
                "they are the same after NFC: one was normalised"
                if _same_after_nfc(context[start : start + 4 * len(text)], text)
                else "is answer_start counted in code points?"
            )
            raise SourceError(
                f"{where}: {text[:_SHOWN]!r} is not what stands at {start} of its context, {found[:_SHOWN]!r}; {why}"
            )
        return Span(span_id, label, ((start, start + len(text)),))

    def carried(self, source: Labelled, target: Labelled, spans: Sequence[Span]) -> Labelled:
        """See `LabelledSource`: questions in the target's words where its file has them."""
        item = super().carried(source, target, spans)
        words = target.extra.get("questions", {})
        qas = [
            {**one, **({"question": words[one["id"]]} if one["id"] in words else {})}
            for one in source.extra.get("qas", [])
        ]
        extra = {key: value for key, value in item.extra.items() if key != "questions"}
        return replace(item, extra={**extra, **({"qas": qas} if qas else {})})

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`. An answer whose span is not there is left out; its question stays."""
        count = 0
        header: dict[str, Any] = {}

        def parts() -> Iterator[str]:
            nonlocal count
            yield '{"data": ['
            comma = ""
            for (_, title), group in groupby(items, key=lambda one: (one.extra.get("article"), one.extra.get("title"))):
                own: dict[str, Any] = {}
                yield comma + '\n{"paragraphs": ['
                comma, inner = ",", ""
                for item in group:
                    own = dict(item.extra.get("article_row", {}))
                    header.update(item.extra.get("file", {}))
                    yield inner + as_json(self._row(item))
                    inner = ", "
                    count += 1
                own |= {} if title is None else {"title": title}
                yield "]" + "".join(f", {as_json(key)}: {as_json(value)}" for key, value in own.items()) + "}"
            yield "]" + "".join(f", {as_json(key)}: {as_json(value)}" for key, value in header.items()) + "}\n"

        write_parts(path, parts())
        return count

    def _row(self, item: Labelled) -> dict[str, Any]:
        spans = item.by_id()
        used = set()
        qas = []
        for one in item.extra.get("qas", []):
            row = dict(one)
            for key in LABELS.keys() & one.keys():
                answers = []
                for answer in one[key]:
                    span = spans.get(answer["span"])
                    if span is None:
                        continue
                    if len(span.pieces) > 1:
                        raise cannot_show(self.kind, item, f"span {span.span_id!r} is discontinuous")
                    used.add(span.span_id)
                    rest = {k: v for k, v in answer.items() if k != "span"}
                    answers.append({"answer_start": span.start, "text": span.surface(item.text), **rest})
                row[key] = answers
            qas.append(row)
        if loose := next((name for name in spans if name not in used), None):
            raise cannot_show(self.kind, item, f"span {loose!r} answers no question")
        return {"context": item.text, "qas": qas, **item.extra.get("paragraph_row", {})}


def questions_in_step(source: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Questions with their translations, from the `extra` of a text read with labels and of one read as a target; none where one has none."""
    words = target.get("questions", {})
    return tuple(
        (one["question"], words[one["id"]])
        for one in source.get("qas", ())
        if isinstance(one.get("question"), str) and isinstance(words.get(one["id"]), str)
    )


def _same_after_nfc(context: str, text: str) -> bool:
    return normalize("NFC", context).startswith(normalize("NFC", text))
