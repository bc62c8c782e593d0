"""The network: M2M100's pre-norm shape in plain PyTorch, made for training several target languages of one source at once.

The encoder reads a source once for all its translations, because the language stands at the start of the output and not
in the source. The softmax runs over the pieces that occur in a language's outputs, and so does decoding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dsbuild.translate.mini.vocabulary import BOS, EOS, PAD

MAX_POSITIONS = 256
LOSS_ROWS = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    n_pieces: int
    width: int = 256
    inner: int = 1024
    heads: int = 4
    encoder_layers: int = 6
    decoder_layers: int = 2


class Dropout:
    """Dropout that takes slices of masks drawn once, since drawing costs more than a layer on a CPU."""

    def __init__(self, rate: float, size: int = 1 << 23) -> None:
        self.rate = rate
        self._pool = (torch.rand(size) >= rate).float() / (1 - rate) if rate else torch.ones(1)

    def __call__(self, hidden: Tensor) -> Tensor:
        """Set a share to zero and scale the rest up; nothing where no gradient is wanted."""
        if not self.rate or not torch.is_grad_enabled():
            return hidden
        count = hidden.numel()
        if count >= len(self._pool):
            return functional.dropout(hidden, self.rate)
        start = int(torch.randint(len(self._pool) - count, ()))
        return hidden * self._pool[start : start + count].view(hidden.shape)


class Attention(nn.Module):
    """The three projections of an attention in one matrix (self), or query apart from key and value (cross)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.width = shape.heads, shape.width
        self.inputs = nn.Linear(shape.width, 3 * shape.width)
        self.output = nn.Linear(shape.width, shape.width)

    def itself(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within [rows, length, width]; without a mask each position sees itself and those before."""
        rows, length, _ = hidden.shape
        query, key, value = self.inputs(hidden).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = _attend(query, key, value, mask)
        return self._out(mixed.transpose(1, 2).reshape(rows, length, self.width))

    def across(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attend from [languages, sources, length, width] to [sources, source length, width]: one reading for all languages."""
        languages, sources, length, _ = hidden.shape
        weight, bias = self.inputs.weight, self.inputs.bias
        query = functional.linear(hidden, weight[: self.width], bias[: self.width])
        query = (
            query.view(languages, sources, length, self.heads, -1)
            .permute(1, 3, 0, 2, 4)
            .reshape(sources, self.heads, languages * length, -1)
        )
        read = functional.linear(memory, weight[self.width :], bias[self.width :])
        key, value = read.view(sources, memory.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = _attend(query, key, value, mask)
        mixed = (
            mixed.view(sources, self.heads, languages, length, -1)
            .permute(2, 0, 3, 1, 4)
            .reshape(languages, sources, length, self.width)
        )
        return self._out(mixed)

    def _out(self, mixed: Tensor) -> Tensor:
        return functional.linear(mixed, self.output.weight, self.output.bias)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    # In float32: with short rows the CPU's bfloat16 kernel takes four times as long backwards.
    with torch.autocast("cpu", enabled=False):
        return functional.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), attn_mask=mask, is_causal=mask is None
        )


class Layer(nn.Module):
    """A pre-norm layer of the encoder, or with `cross` of the decoder."""

    def __init__(self, shape: Shape, *, cross: bool) -> None:
        super().__init__()
        self.self_norm, self.self_attention = nn.LayerNorm(shape.width), Attention(shape)
        if cross:
            self.cross_norm, self.cross_attention = nn.LayerNorm(shape.width), Attention(shape)
        self.inner_norm = nn.LayerNorm(shape.width)
        self.wide, self.narrow = nn.Linear(shape.width, shape.inner), nn.Linear(shape.inner, shape.width)

    def see(self, hidden: Tensor, mask: Tensor | None, drop: Dropout) -> Tensor:
        """The part that attends to its own side; the last two dimensions are length and width."""
        rows = self.self_norm(hidden).flatten(0, -3)
        return hidden + drop(self.self_attention.itself(rows, mask).view(hidden.shape))

    def read(self, hidden: Tensor, memory: Tensor, mask: Tensor, drop: Dropout) -> Tensor:
        """The part of the decoder that attends to the source."""
        return hidden + drop(self.cross_attention.across(self.cross_norm(hidden), memory, mask))

    def feed(self, hidden: Tensor, drop: Dropout) -> Tensor:
        """The feed-forward part."""
        return hidden + drop(self.narrow(functional.relu(self.wide(self.inner_norm(hidden)))))


class Network(nn.Module):
    """The translation model."""

    positions: Tensor

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.shape, self.drop = shape, Dropout(dropout)
        self.embedding = nn.Parameter(torch.randn(shape.n_pieces, shape.width) * shape.width**-0.5)
        with torch.no_grad():
            self.embedding[PAD] = 0
        self.encoder = nn.ModuleList(Layer(shape, cross=False) for _ in range(shape.encoder_layers))
        self.decoder = nn.ModuleList(Layer(shape, cross=True) for _ in range(shape.decoder_layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.register_buffer("positions", _sinusoids(MAX_POSITIONS, shape.width), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def _embed(self, ids: Tensor) -> Tensor:
        hidden = functional.embedding(ids, self.embedding) * math.sqrt(self.shape.width)
        return self.drop(hidden + self.positions[: ids.shape[-1]])

    def encode(self, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Encode [sources, length] ids; gives the memory and the mask that keeps padding out of it."""
        mask = (sources != PAD)[:, None, None, :]
        hidden = self._embed(sources)
        for layer in self.encoder:
            assert isinstance(layer, Layer)
            hidden = layer.feed(layer.see(hidden, mask, self.drop), self.drop)
        return self.encoder_norm(hidden), mask

    def decode(self, memory: Tensor, mask: Tensor, inputs: Tensor) -> Tensor:
        """Decode [languages, sources, length] ids, which start with their language token, into hidden states."""
        hidden = self._embed(inputs)
        for layer in self.decoder:
            assert isinstance(layer, Layer)
            hidden = layer.read(layer.see(hidden, None, self.drop), memory, mask, self.drop)
            hidden = layer.feed(hidden, self.drop)
        normed: Tensor = self.decoder_norm(hidden)
        return normed

    def losses(
        self, sources: Tensor, inputs: Tensor, labels: Tensor, tables: Sequence[Table], smoothing: float
    ) -> list[Tensor]:
        """Summed cross-entropy per language; labels are piece ids, PAD where nothing is to be said."""
        memory, mask = self.encode(sources)
        hidden = self.decode(memory, mask, inputs)
        found = []
        for index, table in enumerate(tables):
            wanted = labels[index]
            said = wanted != PAD
            found.append(
                _sliced_loss(
                    hidden[index][said],
                    self.embedding.index_select(0, table.ids),
                    table.places[wanted[said]],
                    smoothing,
                )
            )
        return found


class SlicedLoss(torch.autograd.Function):
    """Projection, softmax and smoothed cross-entropy, summed; the gradients are made on the way forward.

    So the logits, the largest thing in an update, are written once and never kept.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """The summed loss of [n, width] states and [pieces, width] embeddings."""
        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        hidden, weight = hidden.to(kind), weight.to(kind)
        share = smoothing / len(weight)
        to_hidden = torch.empty(hidden.shape)
        to_weight = torch.zeros(weight.shape)
        loss = torch.zeros(())
        for start in range(0, len(labels), LOSS_ROWS):  # few rows at a time stay in the cache
            rows, right = hidden[start : start + LOSS_ROWS], labels[start : start + LOSS_ROWS, None]
            logits = (rows @ weight.t()).float()
            top = logits.amax(1, keepdim=True)
            loss += top.sum() - (1 - smoothing) * logits.gather(1, right).sum() - share * logits.sum()
            slope = logits.sub_(top).exp_()
            total = slope.sum(1, keepdim=True)
            loss += total.log().sum()
            if ctx.needs_input_grad[0]:
                slope.div_(total).sub_(share).scatter_add_(1, right, torch.full(right.shape, smoothing - 1.0))
                low = slope.to(kind)
                to_hidden[start : start + LOSS_ROWS] = low @ weight
                to_weight += low.t() @ rows
        ctx.save_for_backward(to_hidden, to_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale the gradients that `forward` made."""
        hidden, weight = ctx.saved_tensors
        return hidden * scale, weight * scale, None, None


_sliced_loss: Any = SlicedLoss.apply


@dataclass(frozen=True, slots=True)
class Table:
    """The slice of a language: its piece ids, and for every piece its place among them."""

    lang: str
    start: int
    ids: Tensor
    places: Tensor

    @staticmethod
    def make(lang: str, start: int, ids: Sequence[int], n_pieces: int) -> Table:
        """The slice with the given ids; `start` is the language token."""
        places = torch.full((n_pieces,), -100)
        places[torch.tensor(ids)] = torch.arange(len(ids))
        return Table(lang, start, torch.tensor(ids), places)


def _sinusoids(count: int, width: int) -> Tensor:
    """M2M100's positions: sines in the first half, cosines in the second; the first real one is numbered 2."""
    half = width // 2
    rates = torch.exp(torch.arange(half).float() * -(math.log(10000) / (half - 1)))
    angles = torch.arange(2, count + 2).float()[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@torch.no_grad()
def greedy(network: Network, source: Sequence[int], table: Table, limit: int) -> list[int]:
    """The most likely piece at each step, until the end or `limit` pieces."""
    memory, mask = network.encode(torch.tensor([list(source)]))
    said = [table.start]
    for _ in range(limit):
        hidden = network.decode(memory, mask, torch.tensor([[said]]))[0, 0, -1]
        best = int(table.ids[int((network.embedding.index_select(0, table.ids) @ hidden).argmax())])
        if best == EOS:
            break
        said.append(best)
    return said[1:]


def to_transformers(shape: Shape, weights: Mapping[str, Tensor]) -> Any:
    """The same model as `transformers.M2M100ForConditionalGeneration`."""
    import transformers

    config = transformers.M2M100Config(
        vocab_size=shape.n_pieces,
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.inner,
        decoder_ffn_dim=shape.inner,
        max_position_embeddings=MAX_POSITIONS,
        activation_function="relu",
        scale_embedding=True,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
    )
    model: Any = transformers.M2M100ForConditionalGeneration(config)
    model.eval()
    state: dict[str, Tensor] = {}
    for side, count in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        for name in ("weight", "bias"):
            state[f"model.{side}.layer_norm.{name}"] = weights[f"{side}_norm.{name}"]
            for index in range(count):
                ours, theirs = f"{side}.{index}", f"model.{side}.layers.{index}"
                kinds = [("self_attention", "self_attn", "self_norm", "self_attn_layer_norm")]
                kinds += (
                    [("cross_attention", "encoder_attn", "cross_norm", "encoder_attn_layer_norm")]
                    if side == "decoder"
                    else []
                )
                for attention, their_attention, norm, their_norm in kinds:
                    state[f"{theirs}.{their_norm}.{name}"] = weights[f"{ours}.{norm}.{name}"]
                    parts = weights[f"{ours}.{attention}.inputs.{name}"].chunk(3)
                    for projection, part in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                        state[f"{theirs}.{their_attention}.{projection}.{name}"] = part
                    state[f"{theirs}.{their_attention}.out_proj.{name}"] = weights[f"{ours}.{attention}.output.{name}"]
                for part_name, their_name in (("inner_norm", "final_layer_norm"), ("wide", "fc1"), ("narrow", "fc2")):
                    state[f"{theirs}.{their_name}.{name}"] = weights[f"{ours}.{part_name}.{name}"]
    for place in ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"):
        state[f"{place}.weight"] = weights["embedding"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or [entry for entry in missing if "embed_positions" not in entry]:
        raise RuntimeError(f"weights do not fit M2M100: missing {missing}, unexpected {unexpected}")
    return model
