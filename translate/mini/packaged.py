"""The packaged model's weights back as PyTorch's, so that a later run starts from what ships instead of from nothing."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from dsbuild.translate.mini.model import Shape

Floats = npt.NDArray[np.float32]

# CTranslate2's numbers of element types (its `DataType`).
_TYPES: Mapping[int, type[np.generic]] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_NORM = {"weight": "gamma", "bias": "beta"}


def read_model(path: Path) -> dict[str, Floats]:
    """The variables of a CTranslate2 `model.bin` by name, int8 matrices as the floats that they stand for.

    The layout is CTranslate2's: version, name, revision, then each variable's name, shape, type and bytes.
    """
    data = path.read_bytes()
    place = 4

    def number(form: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(form)
        return int(value)

    def name() -> str:
        nonlocal place
        length = number("H")
        text = data[place : place + length].rstrip(b"\0").decode()
        place += length
        return text

    name()
    number("I")
    found: dict[str, npt.NDArray[np.generic]] = {}
    for _ in range(number("I")):
        variable = name()
        shape = [number("I") for _ in range(number("B"))]
        kind = np.dtype(_TYPES[number("B")])
        size = number("I")
        found[variable] = np.frombuffer(data, kind, size // kind.itemsize, place).reshape(shape)
        place += size
    floats = {}
    for variable, values in found.items():
        scale = found.get(f"{variable}_scale")
        if values.dtype == np.int8 and scale is not None:
            floats[variable] = values.astype(np.float32) / scale.astype(np.float32)[:, None]
        elif values.dtype == np.float32:
            floats[variable] = np.asarray(values, np.float32).copy()
    return floats


def weights(folder: Path, shape: Shape) -> dict[str, Tensor]:
    """The network's weights for `shape` from the model in `folder`, which may have fewer layers.

    A layer that the model lacks gets zero output matrices and so adds nothing at first: training starts at the model's own quality.
    `ValueError` if pieces or widths differ.
    """
    import torch

    from dsbuild.translate.mini.model import Network

    held = read_model(folder / "model.bin")
    counts = {
        side: sum(name.startswith(f"{side}/layer_") and name.endswith("ffn/linear_0/bias") for name in held)
        for side in ("encoder", "decoder")
    }
    if held["decoder/embeddings/weight"].shape != (shape.n_pieces, shape.width):
        raise ValueError(f"{folder}: {held['decoder/embeddings/weight'].shape} embeddings, not {shape.n_pieces}")
    known = replace(shape, encoder_layers=counts["encoder"], decoder_layers=counts["decoder"])
    state = {name: value.detach().clone() for name, value in Network(shape, 0.0).named_parameters()}
    for name in state:
        if name.endswith(("attention.output.weight", "narrow.weight")):
            state[name].zero_()
    for name, value in _mapped(held, known).items():
        state[name] = torch.from_numpy(value)
    return state


def _mapped(held: Mapping[str, Floats], shape: Shape) -> dict[str, Floats]:
    found = {"embedding": held["decoder/embeddings/weight"]}
    for side, count in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        for part in ("weight", "bias"):
            norm = _NORM[part]
            found[f"{side}_norm.{part}"] = held[f"{side}/layer_norm/{norm}"]
            for index in range(count):
                ours, theirs = f"{side}.{index}", f"{side}/layer_{index}"
                found[f"{ours}.self_norm.{part}"] = held[f"{theirs}/self_attention/layer_norm/{norm}"]
                found[f"{ours}.self_attention.inputs.{part}"] = held[f"{theirs}/self_attention/linear_0/{part}"]
                found[f"{ours}.self_attention.output.{part}"] = held[f"{theirs}/self_attention/linear_1/{part}"]
                if side == "decoder":
                    inputs = [held[f"{theirs}/attention/linear_{place}/{part}"] for place in (0, 1)]
                    found[f"{ours}.cross_norm.{part}"] = held[f"{theirs}/attention/layer_norm/{norm}"]
                    found[f"{ours}.cross_attention.inputs.{part}"] = np.concatenate(inputs)
                    found[f"{ours}.cross_attention.output.{part}"] = held[f"{theirs}/attention/linear_2/{part}"]
                found[f"{ours}.inner_norm.{part}"] = held[f"{theirs}/ffn/layer_norm/{norm}"]
                found[f"{ours}.wide.{part}"] = held[f"{theirs}/ffn/linear_0/{part}"]
                found[f"{ours}.narrow.{part}"] = held[f"{theirs}/ffn/linear_1/{part}"]
    return found
