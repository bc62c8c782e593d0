"""dsbuild's filters inside a datatrove pipeline: one step scores, decides by a profile's rules, and drops. Needs the extra `scale`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dsbuild import languages
from dsbuild.errors import MissingExtra, RecipeError, UnknownName
from dsbuild.filters import PAIRWISE, SCORERS
from dsbuild.filters.decide_texts import DecideTexts
from dsbuild.filters.identify import UNKNOWN, IdentifyRows
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, check_thresholds, profile, split_settings
from dsbuild.filters.score_rows import ScoreRows
from dsbuild.filters.scorers import option_names, scorers_of

try:
    from datatrove.pipeline.filters.base_filter import BaseFilter
except ImportError:
    raise MissingExtra("a dsbuild step in a datatrove pipeline", "datatrove", "scale") from None

# What a step writes into a document's metadata besides the score columns.
LANG, RULES = "lang", "failed_rules"
_OWN = ("__id", "__text", "__lang")


class DsbuildFilter(BaseFilter):  # type: ignore[misc, unused-ignore]
    """Drop the documents that a profile's rules drop, and leave every score and every failed rule in the metadata.

    profile: document, sentence or query; lang: a BCP-47 code, "auto" to identify each document's language, "" to take it from the
    metadata (key `lang_key`; BCP-47, ISO 639-3 with a script, or lid.176's labels; any other is an unknown language); filters: groups
    instead of the profile's; settings: group -> its settings (`{"gopher": {"min_words": 30}}`); thresholds: "default", "fineweb2" or a
    file of `dsbuild calibrate`; exclusion_writer, batch_size: as of any filter of datatrove.
    The profile's filters that look at a whole table (duplicates) are left out here; naming one is a `RecipeError`, since a step sees one
    document at a time. Metadata: the score columns by their names, `lang`, and `failed_rules`, one dict for each (rule, action, value, op,
    threshold, source), in the order of the rules. The reason of a drop is the first rule with action "drop".
    """

    name = "dsbuild"

    def __init__(
        self,
        profile: str = "document",
        lang: str = "auto",
        filters: Sequence[str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        thresholds: str = DEFAULT_THRESHOLDS,
        lang_key: str = "language",
        exclusion_writer: Any = None,
        batch_size: int = 1000,
    ) -> None:
        super().__init__(exclusion_writer, batch_size)
        groups = _groups(profile, filters)
        check_thresholds(thresholds)
        options, said = _settings(profile, groups, settings or {})
        self.lang = lang if lang in ("", "auto") else languages.get(lang).code
        self.lang_key = lang_key
        text, column = _OWN[1:]
        self.identify = IdentifyRows(text, self.lang, column, str(options.get("language", {}).get("model", "")))
        self.scores = ScoreRows.of(
            scorers_of([group for group in groups if group != "language"], options), (text,), (column,)
        )
        self.rules = DecideTexts("documents", _OWN[0], profile, groups, said, thresholds, lang_columns=(column,))

    def filter(self, doc: Any) -> bool | tuple[bool, str]:
        """Whether one document is kept; see `filter_batch`."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Any]) -> list[bool | tuple[bool, str]]:
        """Keep (True) or drop (False and the rule) for each document; their metadata are added to."""
        if not batch:
            return []
        rows = pa.table(
            {
                _OWN[0]: pa.array([str(doc.id) for doc in batch], pa.string()),
                _OWN[1]: pa.array([_sound(doc.text) for doc in batch], pa.string()),
                _OWN[2]: pa.array([self._said(doc) for doc in batch], pa.string()),
            }
        )
        for stage in (self.identify, self.scores):
            # Neither of the two uses its workspace.
            result = stage.run({"rows": rows}, _NOWHERE)
            rows = next(iter(result.outputs["out"])).table
        keep, failed = self.rules.decide(rows)
        scores = rows.drop_columns(list(_OWN)).to_pylist()
        for doc, row, lang in zip(batch, scores, rows[_OWN[2]].to_pylist(), strict=True):
            doc.metadata.update(row)
            doc.metadata[LANG] = lang
            doc.metadata[RULES] = []
        reasons: dict[int, str] = {}
        for found in failed:
            batch[found.index].metadata[RULES].append(
                {"rule": found.rule, "action": found.action, "value": found.value, "op": found.op, "threshold": found.threshold,
                 "source": found.source}
            )  # fmt: skip
            if found.action == "drop":
                reasons.setdefault(found.index, found.rule)
        return [True if kept else (False, reasons[index]) for index, kept in enumerate(keep.tolist())]

    def _said(self, doc: Any) -> str:
        """BCP-47 of the language that the metadata name."""
        raw = "" if self.lang else str(doc.metadata.get(self.lang_key) or "")
        found = languages.find_any(raw) if raw else None
        return found.code if found else UNKNOWN


_NOWHERE: Any = None


def _groups(name: str, filters: Sequence[str] | None) -> tuple[str, ...]:
    chosen = profile(name)
    if chosen.table != "documents":
        raise RecipeError(f"profile {name} is for a table of {chosen.table}; a datatrove document has one text")
    if filters is None:
        filters = [group for group in chosen.groups if group in SCORERS.names()]
    for group in filters:
        if group not in SCORERS.names():
            if group in chosen.groups:
                raise RecipeError(f"{group} looks at a whole table: run it with dsbuild filter, not inside a pipeline")
            raise UnknownName("filter", group, SCORERS.names())
        if group in PAIRWISE or (group != "language" and hasattr(SCORERS.get(group), "score_rows")):
            raise RecipeError(f"{group} needs more than one text: run it with dsbuild filter, not inside a pipeline")
    return tuple(filters)


def _settings(
    name: str, groups: Sequence[str], settings: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Each group's settings as options of its filter and as thresholds."""
    options: dict[str, dict[str, Any]] = {}
    said: dict[str, dict[str, Any]] = {}
    if unused := sorted(set(settings) - set(groups)):
        raise RecipeError(f"{unused[0]}: set, but not among the filters ({', '.join(groups)})")
    for group in groups:
        given = {**profile(name).options.get(group, {}), **settings.get(group, {})}
        options[group], said[group] = split_settings(group, given, option_names(group))
    return options, {group: values for group, values in said.items() if values}


def _sound(text: str) -> str:
    """A text that Arrow can hold: a lone surrogate, which is half a character, is the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
