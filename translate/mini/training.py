"""The loop: updates, schedule by active time, averaged weights, held-out loss, checkpoints."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsbuild.translate.mini.batches import Batch, Drawing, batched
from dsbuild.translate.mini.model import Network, Shape, Table
from dsbuild.translate.mini.preparation import Prepared
from dsbuild.translate.mini.vocabulary import PAD
from dsbuild.translate.mini.workers import Flat, Workers


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    minutes: active time, in which a stop of the process does not count; updates: instead of it, for an exactly repeatable run;
    processes: readers of batches, one thread each; max_tokens: padded pieces of a process's batch;
    patience: evaluations without a better held-out loss before stopping; 0: train to the end and keep the last weights.
    """

    minutes: float
    updates: int = 0
    peak: float = 2e-3
    warmup: int = 400
    smoothing: float = 0.1
    dropout: float = 0.1
    average: float = 0.9995
    clip: float = 1.0
    every_s: float = 150.0
    patience: int = 6
    max_tokens: int = 4000
    processes: int = 1
    bfloat16: bool = True
    seed: int = 1


class Clock:
    """Seconds of work: an update that took far longer than its neighbours was stopped, and counts like them."""

    def __init__(self, active: float = 0.0) -> None:
        self.active = active
        self._recent: deque[float] = deque(maxlen=50)

    def add(self, seconds: float) -> None:
        """Count an update."""
        usual = statistics.median(self._recent) if len(self._recent) >= 10 else seconds
        self._recent.append(min(seconds, 8 * usual))
        self.active += self._recent[-1]


class Trainer:
    """One training run in a folder."""

    def __init__(self, prepared: Prepared, shape: Shape, plan: Plan, folder: Path) -> None:
        torch.manual_seed(plan.seed)
        self.prepared, self.shape, self.plan, self.folder = prepared, shape, plan, folder
        self.network = Network(shape, plan.dropout)
        self.tables = {
            lang: Table.make(lang, prepared.starts[lang], ids, shape.n_pieces) for lang, ids in prepared.slices.items()
        }
        self.flat = Flat(self.network)
        self.workers = Workers(
            self.network,
            self.flat,
            self.tables,
            plan.smoothing,
            bfloat16=plan.bfloat16,
            count=plan.processes,
            seed=plan.seed,
        )
        self.flat.weights.grad = self.workers.gradients
        self.optimizer = torch.optim.AdamW(
            [self.flat.weights], lr=0.0, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01, fused=True
        )
        self.average = self.flat.weights.clone()
        self.drawing = Drawing(
            prepared.stocks, prepared.starts, prepared.placeholders, seed=plan.seed, max_tokens=plan.max_tokens
        )
        self.dev = {name: self._dev_batches(name) for name in prepared.dev}
        self.clock, self.update, self.n_tokens = Clock(), 0, 0
        self.best, self.waited = math.inf, 0
        self.log: list[dict[str, Any]] = []

    def _dev_batches(self, name: str) -> list[Batch]:
        langs = next(stock.langs for stock in self.prepared.stocks if stock.name == name)
        return batched(self.prepared.dev[name], langs, self.prepared.starts, self.plan.max_tokens)

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.update / self.plan.updates if self.plan.updates else self.clock.active / (60 * self.plan.minutes)

    def rate(self) -> float:
        """Warm-up, flat to 30 %, then half a cosine down to 2 % of the peak."""
        warm = min(1.0, (self.update + 1) / self.plan.warmup)
        fall = max(0.0, (min(1.0, self.progress) - 0.3) / 0.7)
        return self.plan.peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))

    def run(self) -> None:
        """Train to the end of the plan, or until the held-out loss stops falling."""
        next_look = self.clock.active + self.plan.every_s
        losses: deque[float] = deque(maxlen=100)
        while self.progress < 1:
            began = time.monotonic()
            losses.append(self._step())
            self.clock.add(time.monotonic() - began)
            if self.update % 100 == 0:
                self._tell(losses)
            if self.clock.active >= next_look and self.progress < 1:
                next_look = self.clock.active + self.plan.every_s
                self._look(losses)
                if self.plan.patience and self.waited >= self.plan.patience:
                    print(f"held-out loss has not fallen {self.waited} times: stopping")
                    break
        self._look(losses)

    def _step(self) -> float:
        batches = [self.drawing.take() for _ in range(self.workers.count)]
        loss, count = self.workers.step(batches)
        self.workers.gradients.div_(count)
        torch.nn.utils.clip_grad_norm_([self.flat.weights], self.plan.clip)
        self.optimizer.param_groups[0]["lr"] = self.rate()
        self.optimizer.step()
        self.update += 1
        self.n_tokens += sum(batch.n_tokens for batch in batches)
        if self.update % 4 == 0:
            # A young average forgets faster, so that the first updates do not weigh on it.
            decay = min(self.plan.average**4, (1 + self.update / 4) / (10 + self.update / 4))
            self.average.lerp_(self.flat.weights, 1 - decay)
        return loss / count

    def _tell(self, losses: deque[float]) -> None:
        active = max(self.clock.active, 1e-9)
        print(f"update {self.update}  {active / 60:.1f} min  loss {sum(losses) / len(losses):.3f}  {self.n_tokens / active:.0f} tok/s  "
              f"lr {self.rate():.2e}  {100 * self.progress:.1f} %", flush=True)  # fmt: skip

    def _look(self, losses: deque[float]) -> None:
        """Measure the averaged weights on held-out text, keep the best, write a checkpoint."""
        found = self.held_out_loss()
        # The grammar counts as much as all of people's text together.
        real = [loss for name, loss in found.items() if name != "grammar"]
        mean = statistics.fmean(
            [*([found["grammar"]] if "grammar" in found else []), *([statistics.fmean(real)] if real else [])] or [0.0]
        )
        self.log.append({"update": self.update, "minutes": round(self.clock.active / 60, 2), "train": round(sum(losses) / max(1, len(losses)), 4),
                         "tokens": self.n_tokens, "held_out": {name: round(value, 4) for name, value in found.items()}})  # fmt: skip
        better = mean < self.best or not found or not self.plan.patience
        self.best, self.waited = (mean, 0) if better else (self.best, self.waited + 1)
        if better:
            _write(
                {"shape": asdict(self.shape), "weights": self.average_weights(), "update": self.update},
                self.folder / "best.pt",
            )
        self.save()
        print(
            f"held out {mean:.4f}{' *' if better else ''}  "
            + "  ".join(f"{name} {value:.3f}" for name, value in found.items()),
            flush=True,
        )

    def average_weights(self) -> dict[str, Tensor]:
        """The averaged weights by name."""
        names = [name for name, _ in self.network.named_parameters()]
        return {name: view.clone() for name, view in zip(names, self.flat.views(self.average), strict=True)}

    @torch.no_grad()
    def held_out_loss(self) -> dict[str, float]:
        """Cross-entropy per piece of each held-out source, under the averaged weights, without smoothing."""
        own = self.flat.weights.clone()
        self.flat.weights.copy_(self.average)
        found = {}
        for name, batches in self.dev.items():
            total = 0.0
            for batch in batches:
                tables = [self.tables[lang] for lang in batch.langs]
                total += float(sum(self.network.losses(batch.sources, batch.inputs, batch.labels, tables, 0.0)))
            found[name] = total / max(1, sum(int((batch.labels != PAD).sum()) for batch in batches))
        self.flat.weights.copy_(own)
        return found

    def save(self) -> None:
        """Write what `resume` needs."""
        state = {"weights": self.flat.weights, "optimizer": self.optimizer.state_dict(), "average": self.average, "update": self.update,
                 "active": self.clock.active, "n_tokens": self.n_tokens, "best": self.best, "waited": self.waited, "log": self.log,
                 "drawing": self.drawing.state(), "torch": torch.get_rng_state()}  # fmt: skip
        _write(state, self.folder / "checkpoint.pt")
        (self.folder / "log.json").write_text(json.dumps(self.log, indent=1), encoding="utf-8")

    def resume(self) -> bool:
        """Go on from the checkpoint of the folder, if there is one."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=False)
        with torch.no_grad():
            self.flat.weights.copy_(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.update, self.n_tokens, self.log = state["update"], state["n_tokens"], state["log"]
        self.best, self.waited, self.clock = state["best"], state["waited"], Clock(state["active"])
        self.drawing.restore(state["drawing"])
        torch.set_rng_state(state["torch"])
        return True

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with the given weights of the same shape and pieces."""
        self.network.load_state_dict(weights)
        self.average.copy_(self.flat.weights)


def _write(state: object, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    part.replace(path)
