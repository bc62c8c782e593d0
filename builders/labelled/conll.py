"""`conll:` CoNLL-2002 and CoNLL-2003 columns: a token a line, its tag in a column, a blank line between sentences.

Format: Tjong Kim Sang 2002; Tjong Kim Sang and De Meulder 2003 (`-DOCSTART-` lines between documents). Tabs or spaces separate columns;
the tag stands in the last column whose every value is a tag. A text is its tokens with a space between them, without spaces for languages
that are written so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast

from dsbuild.builders.labelled.detokenizer import spaces_after
from dsbuild.builders.labelled.formats import (
    UNKNOWN_LANG,
    LabelledSource,
    Sound,
    cannot_show,
    layout_of,
    numbered_lines,
    write_parts,
)
from dsbuild.builders.labelled.tagged_tokens import (
    BAD_TAGS,
    CUT_TOKENS,
    TaggedFile,
    is_tag,
    labelled_tokens,
    tags_of,
    tell_scheme,
    tokens_of_text,
)
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled
from dsbuild.text import SCRIPT_CODES, script_table
from dsbuild.tokens import SCHEMES, Scheme, joined

DOCUMENT = "-DOCSTART-"
SPACES = ("script", "yes", "no", "detokenized")
# Scripts that put no space between words.
UNSPACED = frozenset({"Hani", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
# A space must follow the #: a hashtag may be a token.
_ID = re.compile(r"#\s+(?:id|sent_id)\s*[=:]?\s*(\S+)")
_COMMENT = re.compile(r"#\s+\w+(?:[ -]\w+)?\s*[=:]|#\s+id\s")
_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it stands in the file. before: the lines between the sentence before it and its first token; line: of that token."""

    before: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line: int
    separator: str

    @property
    def opens_document(self) -> bool:
        """Whether a line for a new document stands before it."""
        return any(line.startswith(DOCUMENT) for line in self.before)


@dataclass
class Conll(TaggedFile):
    """Sentences with one tag a token.

    scheme: iob1, iob2 or bioes, told by the tags where it is empty; tag_column: 1-based, told by the values where it is empty;
    bad_tags, cut_tokens: see `TaggedFile`;
    spaces: whether a text has spaces between its tokens: `yes`, `no`, `detokenized` (as people write), or by script.
    """

    scheme: str = ""
    tag_column: str = ""
    spaces: str = "script"

    kind: ClassVar[str] = "conll"
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "scheme": SCHEMES, "bad_tags": BAD_TAGS, "cut_tokens": CUT_TOKENS, "spaces": SPACES,
    }  # fmt: skip

    @classmethod
    def opened(cls, path: Path, lang: str | None, options: Mapping[str, str]) -> LabelledSource:
        """The reader; a file whose sentences have a `# text` line and numbered tokens is read as `uner:` or `xsid:`."""
        from dsbuild.builders.labelled import conllu

        form = conllu.tell_form(path) if path.is_file() else None
        return form.opened(path, lang, options) if form else super().opened(path, lang, options)

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        column = self._tag_column()
        tags = ((one.line, [row[column] for row in one.rows]) for one in sentences(self.path))
        scheme = cast(Scheme, self.scheme) if self.scheme else tell_scheme(self.path, _tags_only(tags))
        self._mended = 0
        for one, item, places in self._items(column):
            own = [row[column] for row in one.rows]
            ranges = self.ranges(own, scheme, f"{self.path}:{one.line}")
            extra = {**item.extra, "layout": {**item.extra["layout"], "scheme": scheme, "tag_column": column}}
            yield labelled_tokens(item.id, item.text, item.lang, places, ranges, extra)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: of each line the first column only."""
        for one, item, _ in self._items(None):
            yield Labelled(
                item.id, item.text, item.lang, (), (), {**item.extra, "tokens": [row[0] for row in one.rows]}
            )

    def _items(self, column: int | None) -> Iterator[tuple[Sentence, Labelled, list[tuple[int, int]]]]:
        sound = Sound(self.path)
        document = 0
        waiting: tuple[Sentence, Labelled, list[tuple[int, int]]] | None = None
        numbered: bool | None = None
        tail: tuple[str, ...] = ()
        for number, one in enumerate(sentences(self.path, ends=True)):
            if not one.rows:
                tail = one.before
                break
            if waiting:
                yield waiting
            document += one.opens_document
            name = next((found[1] for line in one.before if (found := _ID.match(line))), None)
            if numbered is not None and numbered != (name is None):
                raise SourceError(
                    f"{self.path}:{one.line}: some sentences have an id and some have none; give all one, or none"
                )
            numbered = name is None
            text, places = text_of([row[0] for row in one.rows], self.spaces, self.path, one.line)
            layout = {} if column is None else _layout(one, column, first=number == 0)
            extra: dict[str, Any] = {"numbered": True} if numbered else {}
            extra |= {"document": document} if document else {}
            extra |= {} if column is None else {"layout": layout}
            waiting = (
                one,
                sound(Labelled(name or str(number), text, self.lang or UNKNOWN_LANG, (), (), extra), one.line),
                places,
            )
        if waiting is None:
            raise SourceError(
                f"{self.path}: no sentence in it; wanted is a token a line with its tag, and blank lines between sentences"
            )
        if tail != ("",) and column is not None:
            waiting[1].extra["layout"]["after"] = list(tail)
        yield waiting

    def _tag_column(self) -> int:
        counted, all_rows, width = Counter[int](), 0, 0
        bad: dict[int, tuple[int, str]] = {}
        for one in sentences(self.path):
            for offset, row in enumerate(one.rows):
                width = width or len(row)
                if len(row) != width or width < 2:
                    raise SourceError(
                        f"{self.path}:{one.line + offset}: {len(row)} columns"
                        + (f" where the file began with {width}" if width != len(row) else ", a token and no tag")
                        + "; a token that has a space needs tabs between columns"
                    )
                all_rows += 1
                for column in range(1, width):
                    if is_tag(row[column]):
                        counted[column] += 1
                    else:
                        bad.setdefault(column, (one.line + offset, row[column]))
        if not all_rows:
            raise SourceError(
                f"{self.path}: no sentence in it; wanted is a token a line with its tag, and blank lines between sentences"
            )
        if self.tag_column:
            if not self.tag_column.isdecimal() or not 2 <= int(self.tag_column) <= width:
                raise SourceError(
                    f"{self.path}: tag_column={self.tag_column}: it has the columns 1 to {width}, and the first holds the token"
                )
            chosen = [int(self.tag_column) - 1]
        else:
            chosen = [column for column in range(1, width) if counted[column] == all_rows]
            chosen = chosen or [column for column in range(1, width) if counted[column] >= _NEARLY * all_rows]
            if not chosen:
                line, word = bad.get(width - 1, (1, ""))
                raise SourceError(
                    f"{self.path}:{line}: {word[:40]!r} is no tag (O, or B-, I-, E-, S- and a label), and no column is one of tags; "
                    "say which is: tag_column=N"
                )
            if len(chosen) > 1 and chosen[-1] != width - 1:
                raise SourceError(
                    f"{self.path}: the columns {', '.join(str(one + 1) for one in chosen)} all hold tags; say which: tag_column=N"
                )
        column = chosen[-1]
        if counted[column] < all_rows and self.bad_tags == "error":
            line, word = bad[column]
            raise SourceError(
                f"{self.path}:{line}: {word[:40]!r} is no tag (O, or B-, I-, E-, S- and a label); mend it, or say bad_tags=O: such tags count as O"
            )
        return column

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`: columns as they came; a text from elsewhere is written as token, tab, tag. scheme: iob2 where none is said."""
        count = 0

        def parts() -> Iterator[str]:
            nonlocal count
            after: Sequence[str] = ()
            document = 0
            for item in items:
                layout = layout_of(item, self.kind)
                before = layout.get("before", [] if count == 0 else [""])
                if not layout and item.extra.get("document", 0) != document:
                    before = [*before, f"{DOCUMENT}\tO", ""]
                document = item.extra.get("document", 0)
                yield "".join(f"{line}\n" for line in before)
                yield self._block(item, layout)
                after = layout.get("after", [""])
                count += 1
            yield "".join(f"{line}\n" for line in after)

        write_parts(path, parts())
        return count

    def _block(self, item: Labelled, layout: Mapping[str, Any]) -> str:
        try:
            tokens, places = tokens_of_text(item)
            tags = tags_of(item, places, cast(Scheme, self.scheme or layout.get("scheme") or "iob2"), self.cut_tokens)
        except SourceError as error:
            raise cannot_show(self.kind, item, str(error)) from None
        column, separator, others = (
            layout.get("tag_column", 1),
            layout.get("separator", "\t"),
            layout.get("columns", []),
        )
        lines = []
        for number, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
            if any(char in token for char in (separator, "\n", "\t")):
                raise cannot_show(self.kind, item, f"the token {token[:40]!r} has a character that separates columns")
            row = [token, *(others[number] if others else ())]
            row.insert(column, tag)
            lines.append(separator.join(row) + "\n")
        return "".join(lines)


def sentences(path: Path, *, ends: bool = False) -> Iterator[Sentence]:
    """The sentences of a file of columns. ends: a last one without rows holds the lines after the last sentence."""
    before: list[str] = []
    rows: list[tuple[str, ...]] = []
    begun, separator = 0, ""
    for number, line in numbered_lines(path):
        blank = not line.strip(" \t\r")
        special = not rows and (
            line.startswith(DOCUMENT) or (line.startswith("#") and _COMMENT.match(line) is not None)
        )
        if (blank or special) and rows:
            yield Sentence(tuple(before), tuple(rows), begun, separator)
            before, rows = [], []
        if blank or special:
            before.append(line)
            continue
        # Tokens may hold spaces where tabs separate columns; other white space, such as a no-break space, never separates.
        own = "\t" if "\t" in line else " "
        row = tuple(line.split(own)) if own == "\t" else tuple(part for part in line.split(" ") if part)
        if not row[0].strip():
            raise SourceError(
                f"{path}:{number}: an empty token; mend or remove the line (removing it moves the numbers of the tokens after it)"
            )
        if not rows:
            begun, separator = number, own
        rows.append(row)
    if rows:
        yield Sentence(tuple(before), tuple(rows), begun, separator)
        before = []
    if ends:
        yield Sentence(tuple(before), (), 0, "")


def text_of(tokens: Sequence[str], spaces: str, path: Path, line: int) -> tuple[str, list[tuple[int, int]]]:
    """A text of tokens and where each stands. spaces: `yes`, `no`, `detokenized`, or `script`: none beside a letter of a script that has none."""
    if bad := next((one for one in tokens if one != one.strip()), None):
        raise SourceError(f"{path}:{line}: the token {bad[:40]!r} begins or ends with white space; mend it")
    if spaces == "yes":
        return joined(tokens)
    if spaces == "detokenized":
        return joined(tokens, spaces_after(tokens))
    if spaces == "no":
        return joined(tokens, [False] * len(tokens))
    return joined(tokens, [not _touches(one, other) for one, other in zip(tokens, [*tokens[1:], ""], strict=True)])


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    if "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff65":
        return "Hani"  # full-width punctuation is as wide as an ideograph and brings its own space
    return SCRIPT_CODES[int(script_table()[ord(char)])]


def _touches(one: str, other: str) -> bool:
    left, right = _script(one[-1]), _script(other[0]) if other else "Zyyy"
    # Punctuation and digits have no script of their own: they touch where their neighbour does.
    return (left in UNSPACED and (right in UNSPACED or right == "Zyyy")) or (right in UNSPACED and left == "Zyyy")


def _tags_only(tags: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Tags, with what is none as O: it speaks for no scheme."""
    for line, own in tags:
        yield line, [tag if is_tag(tag) else "O" for tag in own]


def _layout(one: Sentence, column: int, *, first: bool) -> dict[str, Any]:
    """What brings the lines back as they were; what is usual is left out."""
    layout: dict[str, Any] = {"kind": Conll.kind, "separator": one.separator}
    if list(one.before) != ([] if first else [""]):
        layout["before"] = list(one.before)
    if len(one.rows[0]) > 2:
        layout["columns"] = [[value for place, value in enumerate(row) if place not in (0, column)] for row in one.rows]
    return layout
