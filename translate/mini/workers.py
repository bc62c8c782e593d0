"""Training on several cores: each process reads its own batch with one thread, and they meet once an update.

Threads inside a product meet thousands of times an update, and on a machine that does other work each meeting may wait for
a thread that has no core. All processes see the same weights, which lie in shared memory.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from dsbuild.translate.mini.batches import Batch
from dsbuild.translate.mini.model import Network, Table
from dsbuild.translate.mini.vocabulary import PAD


def shared(tensor: Any) -> Tensor:
    """The tensor, moved to memory that forked processes see."""
    moved: Tensor = tensor.share_memory_()
    return moved


class Flat:
    """All weights of a network in one tensor in shared memory, and their gradients in another."""

    def __init__(self, network: Network) -> None:
        self.parameters = list(network.parameters())
        self.weights = shared(torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters]))
        for parameter, view in zip(self.parameters, self.views(self.weights), strict=True):
            parameter.data = view

    def views(self, flat: Tensor) -> list[Tensor]:
        """The parts of a flat tensor in the shapes of the parameters."""
        parts = torch.split(flat, [parameter.numel() for parameter in self.parameters])
        return [part.view(parameter.shape) for part, parameter in zip(parts, self.parameters, strict=True)]

    def collect_in(self, gradients: Tensor) -> None:
        """Have this process add its gradients to a flat tensor."""
        for parameter, view in zip(self.parameters, self.views(gradients), strict=True):
            parameter.grad = view


def descend(
    network: Network, batch: Batch, tables: Sequence[Table], smoothing: float, *, bfloat16: bool
) -> tuple[float, int]:
    """Add the gradients of a batch's summed loss; gives the loss and the number of pieces."""
    # bfloat16 products over float32 weights: several times as fast where the processor has them.
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        loss = torch.stack(network.losses(batch.sources, batch.inputs, batch.labels, tables, smoothing)).sum()
    torch.autograd.backward(loss)
    return loss.item(), int((batch.labels != PAD).sum())


class Workers:
    """This process and `count - 1` forked ones; `step` leaves the summed gradients in `gradients`."""

    def __init__(
        self,
        network: Network,
        flat: Flat,
        tables: dict[str, Table],
        smoothing: float,
        *,
        bfloat16: bool,
        count: int,
        seed: int,
    ) -> None:
        self.network, self.flat, self.tables, self.smoothing, self.bfloat16 = network, flat, tables, smoothing, bfloat16
        self.gradients = torch.zeros_like(flat.weights)
        self._others: list[tuple[Connection, Tensor]] = []
        context = multiprocessing.get_context("fork")
        for rank in range(1, count):
            gradients = shared(torch.zeros_like(flat.weights))
            mine, theirs = context.Pipe()
            process = context.Process(target=self._work, args=(theirs, gradients, seed + rank), daemon=True)
            process.start()
            theirs.close()
            self._others.append((mine, gradients))
        flat.collect_in(self.gradients)

    @property
    def count(self) -> int:
        """Processes that read batches."""
        return len(self._others) + 1

    def step(self, batches: Sequence[Batch]) -> tuple[float, int]:
        """Add up the gradients of one batch per process; gives the summed loss and the number of pieces."""
        for (connection, _), batch in zip(self._others, batches[1:], strict=True):
            connection.send(
                (batch.langs, batch.sources.numpy(), batch.inputs.numpy(), batch.labels.numpy(), batch.n_tokens)
            )
        self.gradients.zero_()
        loss, count = self._descend(batches[0])
        for connection, gradients in self._others:
            their_loss, their_count = connection.recv()
            self.gradients.add_(gradients)
            loss, count = loss + their_loss, count + their_count
        return loss, count

    def _descend(self, batch: Batch) -> tuple[float, int]:
        return descend(
            self.network, batch, [self.tables[lang] for lang in batch.langs], self.smoothing, bfloat16=self.bfloat16
        )

    def _work(self, connection: Connection, gradients: Tensor, seed: int) -> None:
        torch.manual_seed(seed)
        self.flat.collect_in(gradients)
        while True:
            try:
                message: Any = connection.recv()
            except EOFError:  # the first process is gone
                return
            langs, sources, inputs, labels, n_tokens = message
            gradients.zero_()
            batch = Batch(
                langs, torch.from_numpy(sources), torch.from_numpy(inputs), torch.from_numpy(labels), n_tokens
            )
            connection.send(self._descend(batch))
