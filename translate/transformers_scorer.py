"""Scores of given translations by transformers checkpoints (NLLB, M2M100, OPUS-MT), which can share what texts have in common.

The search for a pair of marks (`project/marked_search.py`) scores hundreds of targets that differ in where the marks stand. Here the source
is encoded once; the target with its opening mark at i (a stem) is read once, and its keys and values are kept; each place of the closing
mark then costs only what stands behind it. Rows whose rest is the same are read as one batch without padding: for one closing place all
openings.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from dsbuild import languages
from dsbuild.digests import file_sha256
from dsbuild.errors import EngineError, MissingExtra
from dsbuild.scoring import Scored
from dsbuild.stage import digest
from dsbuild.translate.ct2_scorer import IMPOSSIBLE, located, scored

Ids = Sequence[int]

# Numbers of a block of logits, and of the keys and values of a block of rows: 256 MB of float32.
_BLOCK = 1 << 26
# Padded target tokens that `score` reads together.
_BATCH_TOKENS = 2_048
_FAMILIES = ("m2m_100", "marian")


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A source as the decoder sees it: states, mask, and for each layer the keys and values that attention to it needs."""

    states: Any
    mask: Any
    cross: Sequence[tuple[Any, Any]] = ()


@dataclass(frozen=True, slots=True)
class _Stems:
    """Targets with an opening mark, read. Positions count target tokens, the forced prefix among them."""

    before: Sequence[Sequence[float]]  # of each stem the log-probability of its first n tokens
    leaving: Sequence[dict[tuple[int, int], float]]  # of each stem that of another token at a position
    caches: Sequence[Any]  # keys and values of each stem, (layers, 2, heads, length, width)

    def beginning(self, stem: int, shared: int, token: int) -> float:
        """The log-probability of the first `shared` tokens of a stem and one that follows."""
        return self.before[stem][shared] + self.leaving[stem][shared, token]


class TransformersScorer:
    """Score with a checkpoint folder of transformers, in float32: NLLB, M2M100, OPUS-MT of one pair.

    model: the folder; device: "cpu", "cuda" or "cuda:N". `EngineError` for another family or a language that the model lacks,
    `MissingExtra` without torch and transformers. A text beyond the model's positions scores minus infinity.
    """

    name: ClassVar[str] = "transformers"

    def __init__(self, model: str, device: str = "cpu") -> None:
        self._path, self._device = Path(model).expanduser(), device
        self._held: dict[str, Any] = {}
        if not (self._path / "config.json").is_file():
            raise EngineError(f"{model}: not a folder of a transformers checkpoint (it has no config.json)")

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """The digest of the checkpoint's files."""
        return {"scorer": self.name, "version": 1, "model": self._digest}

    @cached_property
    def _digest(self) -> str:
        files = sorted(path for path in self._path.iterdir() if path.is_file() and not path.name.startswith("."))
        return digest(*(f"{path.name} {file_sha256(path, None)}" for path in files))

    def close(self) -> None:
        """Free the model; safe to call twice."""
        self._held.clear()

    def score(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Scored]:
        """See `TranslationScorer`."""
        found: list[Scored] = [IMPOSSIBLE] * len(targets)
        by_source: dict[str, list[int]] = {}
        for number, source in enumerate(sources):
            by_source.setdefault(source, []).append(number)
        for source, numbers in by_source.items():
            prefix, cut = self._targets([targets[number] for number in numbers], src, tgt)
            encoded = self._encode(source, src)
            rows = {number: ids for number, ids in zip(numbers, cut, strict=True) if self._fits(prefix, ids)}
            if encoded is None:
                continue
            for some in _batches(rows):
                hidden, _ = self._read([[*prefix, *rows[number]] for number in some], encoded)
                for row, number in enumerate(some):
                    ids = rows[number]
                    log_probs = self._log_probs(hidden[row, len(prefix) - 1 :][: len(ids)], [[one] for one in ids])
                    tokens = self._held["tokenizer"].convert_ids_to_tokens(list(ids[:-1]))
                    found[number] = scored(tokens, tuple(one for (one,) in log_probs), located(targets[number], tokens))
        return found

    def score_branches(
        self, source: str, stems: Sequence[str], branches: Sequence[tuple[int, str]], margin: float, src: str, tgt: str
    ) -> list[float]:
        """See `BranchScorer`. Where a tokenizer cuts the shared part otherwise, less is shared and the totals stay the same."""
        totals = [-math.inf] * len(branches)
        prefix, cut = self._targets([*stems, *(text for _, text in branches)], src, tgt)
        encoded = self._encode(source, src)
        if encoded is None or not all(self._fits(prefix, ids) for ids in cut):
            return totals
        stem_ids, branch_ids = cut[: len(stems)], cut[len(stems) :]
        leaving: dict[tuple[int, tuple[int, ...]], list[tuple[int, int]]] = {}
        alternatives: list[set[tuple[int, int]]] = [set() for _ in stems]
        for number, ((stem, _), ids) in enumerate(zip(branches, branch_ids, strict=True)):
            shared = _common(ids, stem_ids[stem])
            leaving.setdefault((shared, tuple(ids[shared:])), []).append((number, stem))
            if shared < len(ids):
                alternatives[stem].add((shared, ids[shared]))
        read = self._read_stems(prefix, stem_ids, alternatives, encoded)
        # The likeliest beginnings first: their totals tell which others need not be read.
        groups = [
            (max(read.beginning(stem, shared, rest[0]) for _, stem in rows), shared, rest, rows)
            for (shared, rest), rows in leaving.items()
        ]
        best = -math.inf
        for _, shared, rest, rows in sorted(groups, key=lambda one: (-one[0], one[1])):
            kept = [row for row in rows if read.beginning(row[1], shared, rest[0]) >= best - margin]
            size = max(1, _BLOCK // max(1, read.caches[0].numel())) if read.caches else 1
            for first in range(0, len(kept), size):
                some = kept[first : first + size]
                behind = self._read_rest(len(prefix) + shared, rest, [read.caches[stem] for _, stem in some], encoded)
                for (number, stem), value in zip(some, behind, strict=True):
                    totals[number] = read.beginning(stem, shared, rest[0]) + value
                    best = max(best, totals[number])
        return totals

    def _read_stems(
        self, prefix: Ids, stems: Sequence[Ids], alternatives: Sequence[set[tuple[int, int]]], encoded: _Encoded
    ) -> _Stems:
        """Read the stems, those of one length together; what follows a branch is looked up in the same distributions."""
        import torch

        before: list[Sequence[float]] = [()] * len(stems)
        leaving: list[dict[tuple[int, int], float]] = [{} for _ in stems]
        caches: list[Any] = [None] * len(stems)
        for some in _batches(dict(enumerate(stems)), same_length=True):
            hidden, cache = self._read([[*prefix, *stems[stem]] for stem in some], encoded)
            kept = torch.stack([torch.stack((layer.keys, layer.values)) for layer in cache.self_attention_cache.layers])
            for row, stem in enumerate(some):
                ids = stems[stem]
                asked = [[one] for one in ids]
                for at, token in sorted(alternatives[stem]):
                    asked[at].append(token)
                found = self._log_probs(hidden[row, len(prefix) - 1 :][: len(ids)], asked)
                sums = [0.0]
                for at, (own, *others) in enumerate(found):
                    leaving[stem] |= {(at, token): value for token, value in zip(asked[at][1:], others, strict=True)}
                    sums.append(sums[-1] + own)
                before[stem], caches[stem] = sums, kept[:, :, row]
        return _Stems(before, leaving, caches)

    def _read_rest(self, length: int, rest: Ids, caches: Sequence[Any], encoded: _Encoded) -> list[float]:
        """The log-probability of rest[1:] behind each past of `length` tokens and rest[0]."""
        import torch

        if len(rest) == 1:
            return [0.0] * len(caches)
        past = torch.stack([cache[:, :, :, :length] for cache in caches], dim=2)
        hidden, _ = self._read([rest] * len(caches), encoded, past)
        flat = self._log_probs(hidden.reshape(-1, hidden.shape[-1]), [[one] for one in rest[1:]] * len(caches))
        n = len(rest) - 1
        return [sum(value for (value,) in flat[row * n : (row + 1) * n]) for row in range(len(caches))]

    def _read(self, rows: Sequence[Ids], encoded: _Encoded, past: Any = None) -> tuple[Any, Any]:
        """Hidden states behind all but the last token of each row (padded on the right), and keys and values.

        Without a past a row begins with what the decoder starts from. What stands behind a token is not seen by it, so padding changes nothing.
        """
        import torch
        from transformers import DynamicCache, EncoderDecoderCache

        model = self._open()
        longest = max(map(len, rows))
        pad = model.config.pad_token_id
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=self._device)[:, :-1]
        own, cross = DynamicCache(), DynamicCache()
        for layer, (keys, values) in enumerate(() if past is None else past):
            own.update(keys, values, layer)
        for layer, (keys, values) in enumerate(encoded.cross):
            cross.update(keys.expand(len(rows), -1, -1, -1), values.expand(len(rows), -1, -1, -1), layer)
        cache = EncoderDecoderCache(own, cross)
        states = encoded.states.expand(len(rows), -1, -1)
        with torch.inference_mode():
            out = model.get_decoder()(
                input_ids=ids, encoder_hidden_states=states, encoder_attention_mask=encoded.mask.expand(len(rows), -1),
                use_cache=True, **{self._held["cache"]: cache},
            )  # fmt: skip
        return out.last_hidden_state, cache

    def _log_probs(self, hidden: Any, wanted: Sequence[Sequence[int]]) -> list[list[float]]:
        """Of each state the log-probabilities of the tokens that are wanted; a block of logits at a time."""
        import torch

        model = self._open()
        bias = getattr(model, "final_logits_bias", None)
        size = max(1, _BLOCK // model.config.vocab_size)
        found: list[list[float]] = []
        with torch.inference_mode():
            for first in range(0, len(wanted), size):
                logits = model.lm_head(hidden[first : first + size])
                logits = logits if bias is None else logits + bias
                whole = torch.logsumexp(logits, dim=-1)
                for row, tokens in enumerate(wanted[first : first + size]):
                    found.append((logits[row, list(tokens)] - whole[row]).tolist())
        return found

    def _encode(self, source: str, src: str) -> _Encoded | None:
        """The source's states, None where it is longer than the model reads."""
        import torch

        model = self._open()
        tokenizer = self._held["tokenizer"]
        if self._held["coded"]:
            tokenizer.src_lang = self._code(src)
        ids = tokenizer(source)["input_ids"]
        if len(ids) > model.config.max_position_embeddings:
            return None
        mask = torch.ones((1, len(ids)), dtype=torch.long, device=self._device)
        with torch.inference_mode():
            states = model.get_encoder()(
                torch.tensor([ids], device=self._device), attention_mask=mask
            ).last_hidden_state
        encoded = _Encoded(states, mask)
        start = model.config.decoder_start_token_id
        _, cache = self._read([[start, start]], encoded)
        return _Encoded(states, mask, [(layer.keys, layer.values) for layer in cache.cross_attention_cache.layers])

    def _targets(self, texts: Sequence[str], src: str, tgt: str) -> tuple[list[int], list[list[int]]]:
        """What a decoder starts from (the forced language with it), and each text's tokens with the end token."""
        model = self._open()
        tokenizer = self._held["tokenizer"]
        prefix = [model.config.decoder_start_token_id]
        if self._held["coded"]:
            tokenizer.src_lang, tokenizer.tgt_lang = self._code(src), self._code(tgt)
            prefix.append(tokenizer.convert_tokens_to_ids(self._token(self._code(tgt))))
        cut = tokenizer(text_target=list(texts), add_special_tokens=False)["input_ids"] if texts else []
        return prefix, [[*ids, tokenizer.eos_token_id] for ids in cut]

    def _fits(self, prefix: Ids, ids: Ids) -> bool:
        return len(prefix) + len(ids) <= int(self._open().config.max_position_embeddings)

    def _code(self, lang: str) -> str:
        """The tokenizer's own name of a language."""
        known = languages.get(lang)
        code = str((known.nllb if self._held["coded"] == "nllb" else known.m2m100) or lang)
        if not _knows(self._held["tokenizer"], self._token(code)):
            raise EngineError(f"{self._path.name}: this model has no language {lang} ({code})")
        return code

    def _token(self, code: str) -> str:
        return code if self._held["coded"] == "nllb" else f"__{code}__"

    def _open(self) -> Any:
        if "model" not in self._held:
            try:
                from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
            except ImportError:
                raise MissingExtra("the scorer transformers", "torch and transformers", "convert") from None
            family = AutoConfig.from_pretrained(self._path).model_type
            if family not in _FAMILIES:
                raise EngineError(
                    f"{self._path.name}: a {family} model; this scorer reads NLLB, M2M100 and OPUS-MT checkpoints"
                )
            tokenizer = AutoTokenizer.from_pretrained(self._path)
            model = AutoModelForSeq2SeqLM.from_pretrained(self._path, dtype="float32").to(self._device).eval()
            coded = ""
            if family == "m2m_100":
                coded = "nllb" if _knows(tokenizer, "eng_Latn") else "m2m100"
            # Newer versions of transformers call the cache by another name.
            names = inspect.signature(type(model.get_decoder()).forward).parameters
            cache = "cache" if "cache" in names else "past_key_values"
            self._held |= {"model": model, "tokenizer": tokenizer, "cache": cache, "coded": coded}
        return self._held["model"]


def _knows(tokenizer: Any, token: str) -> bool:
    return tokenizer.convert_tokens_to_ids(token) not in (None, tokenizer.unk_token_id)


def _common(one: Ids, two: Ids) -> int:
    """How many tokens two texts begin with alike, the last of the first left out: something has to follow."""
    n = 0
    while n < min(len(one) - 1, len(two) - 1) and one[n] == two[n]:
        n += 1
    return n


def _batches(rows: dict[int, list[int]] | dict[int, Ids], *, same_length: bool = False) -> Iterator[list[int]]:
    """Rows by length, as many together as fill a batch; with `same_length` only such."""
    batch: list[int] = []
    for number in sorted(rows, key=lambda one: (len(rows[one]), one)):
        full = (len(batch) + 1) * len(rows[number]) > _BATCH_TOKENS
        other = same_length and batch and len(rows[batch[0]]) != len(rows[number])
        if batch and (full or other):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
