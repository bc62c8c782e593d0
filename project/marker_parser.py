"""Read the marks of a translated text: what engines do to them is repaired where only one reading is left, and rejected with a reason otherwise."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import regex

from dsbuild.project.markers import KINDS, Marked, Tag, entities, unescaped
from dsbuild.project.projector import Projected
from dsbuild.spans import Piece, trimmed

METHOD = "markers"
# Why a span is rejected: its mark is lost or half lost; comes twice at different places; closes before it opens; two spans lie in each
# other, cross or lie apart and did not in the source; nothing stands inside; it is far longer than its source; parts of one piece came
# apart; pieces of marks are left in the text; escaped characters of the text were lost, so that they could pass for marks.
REASONS = ("missing", "doubled", "order", "nested", "overlap", "empty", "grown", "parted", "debris", "escape_lost")
CLEAN, REPAIRED = 1.0, 0.8

# An engine that marks a noun and its article apart says the mark twice; the article is not what was marked.
_ARTICLES = frozenset(
    regex.findall(
        r"\S+",
        "el la los las un una unos unas o a os as um uma le les l' il lo gli i der die das den dem des ein eine the an en et na els",
    )
)
_SPACES = regex.compile(r"\s\s")
_NOT_EDGE = regex.compile(r"[\p{L}\p{N}\p{M}\p{S}]")
_LOOSE = regex.compile(r"[<>＜＞]|&[lg]t;", regex.I)
_STOPS = ",.;:!?)，。、؛،।"
_SPACE_STOP = regex.compile(rf"\s[{regex.escape(_STOPS)}]")


@dataclass(frozen=True, slots=True)
class Read:
    """A translated text without marks and an answer for each span.

    repairs: what was done to its marks, by kind; spoiled: pieces of marks are left in the text.
    """

    text: str
    answers: tuple[Projected, ...]
    repairs: Mapping[str, int] = field(default_factory=dict)
    spoiled: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    closes: bool
    start: int
    end: int
    odd: bool


def read(marked: Marked, translated: str) -> Read:
    """The plain text and the spans of the translation of a marked text.

    >>> from dsbuild.project.markers import SCHEMES, encode
    >>> from dsbuild.spans import Span
    >>> found = read(encode("the house", [Span("1", "X", ((4, 9),))], SCHEMES["letters"]), "la ＜ a >casa</ a>")
    >>> found.text, found.answers[0].pieces
    ('la casa', ((3, 7),))
    """
    marks = list(_marks(marked, translated))
    text, places, lost = _plain(marked, translated, marks)
    broken = "escape_lost" if lost else "debris" if _debris(marked, translated, marks) else ""
    if broken:
        lost_all = tuple(Projected(span.span_id, (), None, METHOD, "rejected", broken) for span in marked.spans)
        return Read(text, lost_all, spoiled=True)
    found: dict[str, Piece] = {}
    wrong: dict[str, str] = {}
    repairs: dict[str, int] = {}
    repaired: set[str] = {one.name for one in marks if one.odd}
    for tag in marked.tags:
        mine = [(one, places[number]) for number, one in enumerate(marks) if one.name == tag.name]
        piece, reason, repair = _one(marked, tag, mine, text)
        if piece is None:
            wrong[tag.name] = reason
            continue
        found[tag.name] = piece
        for kind in [repair] * bool(repair) + ["malformed"] * (tag.name in repaired):
            repairs[kind] = repairs.get(kind, 0) + 1
            repaired.add(tag.name)
    wrong |= _around_doubled(marked.tags, wrong) | _relations(marked.tags, found)
    return Read(
        text,
        tuple(_answer(marked, number, found, wrong, repaired, text) for number in range(len(marked.spans))),
        repairs,
    )


def _marks(marked: Marked, text: str) -> Iterator[_Mark]:
    scheme = marked.scheme
    if scheme.template:
        known = {tag.name for tag in marked.tags}
        for one in regex.finditer(rf"{scheme.numbered()}(?!\d)", text, regex.I):
            name, closes = str((int(one["number"]) - 1) // 2), int(one["number"]) % 2 == 0
            if name in known:
                yield _Mark(
                    name, closes, one.start(), one.end(), one[0] != scheme.template.format(n=int(one["number"]))
                )
        return
    if not scheme.left:
        for tag, (left, right) in zip(marked.tags, KINDS, strict=False):
            for side, closes in ((left, False), (right, True)):
                for one in regex.finditer(rf"(?:{side})(?:\s?(?:{side}))?", text):
                    yield _Mark(tag.name, closes, one.start(), one.end(), one[0] != tag.name[closes])
        return
    left, right = scheme.family
    if marked.escaped:
        # Entities are characters of the text itself.
        left, right = left.removesuffix("|&lt;"), right.removesuffix("|&gt;")
    names = {tag.name for tag in marked.tags}
    whole = rf"(?:{left})\s*(?:(?:{left})\s*)?(?P<slash>[/／]?)\s*(?P<name>[\p{{L}}][\p{{L}}\p{{N}}]*)\s*(?:{right})(?:\s?(?:{right}))?"
    for one in regex.finditer(whole, text, regex.I):
        name = unicodedata.normalize("NFKC", one["name"]).lower()
        if name in names:
            closes = bool(one["slash"])
            written = name.upper() if scheme.upper else name
            yield _Mark(
                name, closes, one.start(), one.end(), one[0] != f"{scheme.left}{'/' * closes}{written}{scheme.right}"
            )


def _debris(marked: Marked, text: str, marks: Sequence[_Mark]) -> bool:
    """Whether brackets are left that neither the source nor a whole mark accounts for."""
    if not marked.scheme.left and not marked.scheme.template:
        return False
    if marked.scheme.template and _torn(marked, text, marks):
        return True
    loose = _LOOSE if marked.scheme.left and marked.scheme.left in "<＜" else regex.compile(marked.scheme.brackets())
    inside = [(one.start, one.end) for one in marks]
    free = [one for one in loose.finditer(text) if not any(low <= one.start() < high for low, high in inside)]
    # Entities of an escaped text are its own.
    return not all(marked.escaped and one[0].startswith("&") for one in free)


def _torn(marked: Marked, text: str, marks: Sequence[_Mark]) -> bool:
    """Whether a placeholder is left without its number, or a number with all but one sign of its placeholder, that the source has not."""
    stem = marked.scheme.template.partition("{n}")[0].strip()
    rests = {stem[:place] + stem[place + 1 :] for place in range(len(stem))}
    pattern = rf"{regex.escape(stem)}|(?:{'|'.join(map(regex.escape, sorted(rests)))})\s?\d"
    torn = regex.compile(pattern, regex.I)
    whole = [(one.start, one.end) for one in marks]
    left = sum(not any(low <= one.start() < high for low, high in whole) for one in torn.finditer(text))
    return left > len(torn.findall(marked.source))


def _plain(marked: Marked, text: str, marks: list[_Mark]) -> tuple[str, list[int], bool]:
    """The text without marks, where each mark stood, and whether escaped characters were lost."""
    marks.sort(key=lambda one: one.start)
    single = not _SPACES.search(marked.source)
    spaced = marked.scheme.spaced
    tight = single and not _SPACE_STOP.search(marked.source)
    made, at, n_entities = "", 0, 0
    places: list[int] = []
    before: _Mark | None = None
    for one in [*marks, None]:
        chunk = text[at : one.start if one else len(text)]
        n_entities += entities(chunk)
        chunk = unescaped(chunk) if marked.escaped else chunk
        if spaced and before and not before.closes and chunk[:1].isspace():
            chunk = chunk[1:]
        if spaced and one and one.closes and chunk[-1:].isspace():
            chunk = chunk[:-1]
        if (
            before
            and single
            and chunk[:1].isspace()
            and (made[-1].isspace() if made else not marked.source[:1].isspace())
        ):
            chunk = chunk[1:]
        elif before and tight and before.closes and made[-1:].isspace() and chunk[:1] and chunk[0] in _STOPS:
            # The space that an engine put before a closing mark.
            kept = made.rstrip()
            places = [min(place, len(kept)) for place in places]
            made = kept
        made += chunk
        if one:
            places.append(len(made))
            at = one.end
        before = one
    return made, places, bool(marked.escaped) and n_entities != marked.escaped


def _one(marked: Marked, tag: Tag, mine: Sequence[tuple[_Mark, int]], text: str) -> tuple[Piece | None, str, str]:
    """Where one mark's text stands, or why nowhere; and what had to be repaired."""
    repair = ""
    kept: list[tuple[bool, int]] = []
    for one, place in mine:
        # The same mark twice on one spot is one mark.
        if kept and kept[-1][0] == one.closes and not text[kept[-1][1] : place].strip():
            repair = "doubled"
            if not one.closes:
                kept[-1] = (False, place)
            continue
        kept.append((one.closes, place))
    kinds = "".join("/" if closes else "<" for closes, _ in kept)
    if kinds == "</</":
        first, second = (kept[0][1], kept[1][1]), (kept[2][1], kept[3][1])
        early, late = (text[low:high].strip().lower() in _ARTICLES for low, high in (first, second))
        if early != late:
            kept, repair = (kept[2:] if early else kept[:2]), "article"
        elif not text[first[1] : second[0]].strip() and not early:
            kept, repair = [kept[0], kept[3]], "reopened"
        else:
            return None, "doubled", ""
    elif kinds != "</":
        return (
            None,
            "order" if kinds == "/<" else "missing" if len(kinds) < 2 or kinds in ("<<", "//") else "doubled",
            "",
        )
    piece = _edges(marked.source, tag.place, text, (kept[0][1], kept[1][1]))
    if piece is None:
        return None, "empty", ""
    n_source = tag.place[1] - tag.place[0]
    if piece[1] - piece[0] > 4 * n_source + 30:
        return None, "grown", ""
    return piece, "", repair or ("edges" if piece != (kept[0][1], kept[1][1]) else "")


def _edges(source: str, place: Piece, text: str, piece: Piece) -> Piece | None:
    """The piece without what a mark pulled in: white space and punctuation, at an end where the source's span has none."""
    start, end = piece
    first, last = source[place[0]], source[place[1] - 1]
    while start < end and _foreign(text[start], first):
        start += 1
    while start < end and _foreign(text[end - 1], last):
        end -= 1
    blank = not source[place[0] : place[1]].strip()
    return (start, end) if start < end and (blank or trimmed(text, (start, end))) else None


def _foreign(char: str, own: str) -> bool:
    if own.isspace():
        return False
    if char.isspace():
        return True
    if _NOT_EDGE.match(char) or char in "\u200c\u200d":
        return False
    return bool(_NOT_EDGE.match(own)) or (char in ",;:" and char != own)


def _around_doubled(tags: Sequence[Tag], wrong: Mapping[str, str]) -> dict[str, str]:
    """Marks around one that came twice: they hold a copy that may not be theirs."""
    doubled = [tag for tag in tags if wrong.get(tag.name) == "doubled"]
    return {
        tag.name: "doubled"
        for tag in tags
        if tag.name not in wrong and any(_covers(tag.place, one.place) for one in doubled)
    }


def _relations(tags: Sequence[Tag], found: Mapping[str, Piece]) -> dict[str, str]:
    """Marks that lie to each other in another way than in the source, both with the reason."""
    wrong: dict[str, str] = {}
    have = [tag for tag in tags if tag.name in found]
    for number, one in enumerate(have):
        for two in have[number + 1 :]:
            reason = _between(one.place, two.place, found[one.name], found[two.name])
            if reason:
                wrong[one.name] = wrong[two.name] = reason
    return wrong


def _between(one: Piece, two: Piece, mine: Piece, yours: Piece) -> str:
    apart = mine[1] <= yours[0] or yours[1] <= mine[0]
    inside = _covers(mine, yours) or _covers(yours, mine)
    if one[1] <= two[0] or two[1] <= one[0]:
        return "" if apart else "nested" if inside else "overlap"
    right = (_covers(one, two) and _covers(mine, yours)) or (_covers(two, one) and _covers(yours, mine))
    return "" if right else "order"


def _covers(one: Piece, two: Piece) -> bool:
    return one[0] <= two[0] and two[1] <= one[1]


def _answer(
    marked: Marked, number: int, found: Mapping[str, Piece], wrong: Mapping[str, str], repaired: set[str], text: str
) -> Projected:
    """A span from its marks: all of them must have come through."""
    span = marked.spans[number]
    mine = [tag for tag in marked.tags if tag.span == number]
    reason = next((wrong[tag.name] for tag in mine if tag.name in wrong), "")
    pieces: list[Piece] = []
    for which in range(len(span.pieces)):
        parts = sorted(found[tag.name] for tag in mine if tag.piece == which and tag.name in found)
        if any(text[one[1] : two[0]].strip() for one, two in pairwise(parts)):
            reason = reason or "parted"
        if parts:
            pieces.append((parts[0][0], parts[-1][1]))
    pieces.sort()
    if any(two[0] < one[1] for one, two in pairwise(pieces)):
        reason = reason or "overlap"
    if reason or not pieces:
        return Projected(span.span_id, (), None, METHOD, "rejected", reason or "missing")
    score = REPAIRED if any(tag.name in repaired for tag in mine) else CLEAN
    return Projected(span.span_id, tuple(pieces), score, METHOD)
