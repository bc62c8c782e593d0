"""Train the mini model: `python -m dsbuild.translate.mini.train --minutes 95 --threads 2`.

Draws the grammar's sentences if no table is named, reads the hand-written ones and what there is of Tatoeba and the Indian
Parallel Corpora, trains, exports to CTranslate2 and writes the card. Everything on the way stays in `training/`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsbuild.translate.mini.corpus import ATTRIBUTION, HERE

if TYPE_CHECKING:
    from dsbuild.translate.mini.batches import Stock


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dsbuild.translate.mini.train", description=__doc__)
    parser.add_argument("--minutes", type=float, default=95, help="active training time")
    parser.add_argument(
        "--updates", type=int, default=0, help="number of updates instead of a time, for an exactly repeatable run"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--generated", type=Path, default=None, help="table of the grammar's sentences; drawn if not named"
    )
    parser.add_argument(
        "--n-generated", type=int, default=110_000, help="English sentences to draw, each in three languages"
    )
    parser.add_argument(
        "--heldout", type=Path, default=None, help="held-out table of the grammar [GENERATED.heldout.tsv]"
    )
    parser.add_argument(
        "--parallel",
        type=Path,
        default=Path("../shared/data/parallel"),
        help="folder of Tatoeba and the Indian Parallel Corpora",
    )
    parser.add_argument(
        "--builders", type=Path, default=HERE.parents[1] / "builders", help="folder of the sample that is kept out"
    )
    parser.add_argument("--folder", type=Path, default=HERE / "training", help="what only training needs")
    parser.add_argument("--out", type=Path, default=HERE, help="where the model is written")
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--encoder-layers", type=int, default=6)
    parser.add_argument("--decoder-layers", type=int, default=2)
    parser.add_argument("--peak", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--max-tokens", type=int, default=4000, help="padded pieces of a process's batch")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 products, for a processor without them")
    parser.add_argument(
        "--share",
        action="append",
        default=[],
        metavar="SOURCE=SHARE",
        help="another share for a source, such as hand=0.2",
    )
    parser.add_argument("--every", type=float, default=150, help="seconds between looks at the held-out loss")
    parser.add_argument(
        "--patience",
        type=int,
        default=6,
        help="looks without a better held-out loss before stopping; 0: never, keep the last weights",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument(
        "--warm-start",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="begin with the exported model in this folder and its pieces; layers beyond its own are added",
    )
    parser.add_argument(
        "--earlier",
        default="",
        metavar="TEXT",
        help="what the runs were that the first weights come from, for the card",
    )
    parser.add_argument("--no-export", action="store_true")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare, train, export, write the card."""
    options = arguments(argv)
    import torch

    from dsbuild.translate.mini import packaged, preparation
    from dsbuild.translate.mini.model import Shape
    from dsbuild.translate.mini.training import Plan, Trainer

    # One thread a process; the work is shared out by batches.
    torch.set_num_threads(1)
    keep_memory()
    began = time.monotonic()
    options.folder.mkdir(parents=True, exist_ok=True)
    generated = options.generated or draw(options.folder, options.n_generated, options.seed)
    heldout = options.heldout or generated.with_name(generated.name + ".heldout.tsv")
    for pair in options.share:
        name, _, share = pair.partition("=")
        preparation.SHARES[name] = float(share)
    if options.warm_start:
        shutil.copyfile(options.warm_start / "spm.model", options.folder / "spm.model")
    elif not options.resume:
        (options.folder / "spm.model").unlink(missing_ok=True)
    texts = preparation.read(generated, heldout, options.parallel, options.builders, options.seed)
    prepared = preparation.prepare(
        texts, options.folder, size=options.pieces, threads=options.threads, seed=options.seed
    )
    shape = Shape(len(prepared.pieces), encoder_layers=options.encoder_layers, decoder_layers=options.decoder_layers)
    plan = Plan(options.minutes, options.updates, peak=options.peak, dropout=options.dropout, max_tokens=options.max_tokens,
                every_s=options.every, patience=options.patience, bfloat16=not options.float32, processes=options.threads, seed=options.seed)  # fmt: skip
    trainer = Trainer(prepared, shape, plan, options.folder)
    n_parameters = sum(parameter.numel() for parameter in trainer.network.parameters())
    print(f"prepared in {time.monotonic() - began:.0f} s: {prepared.sizes}, {len(prepared.pieces)} pieces, slices "
          f"{ {lang: len(ids) for lang, ids in prepared.slices.items()} }, {n_parameters / 1e6:.1f} M parameters", flush=True)  # fmt: skip
    report_tokens(prepared.stocks)
    if options.warm_start:
        trainer.begin_with(packaged.weights(options.warm_start, shape))
    if options.resume and trainer.resume():
        print(f"going on from update {trainer.update}")
    trainer.run()
    facts = {
        "minutes": round(trainer.clock.active / 60, 1),
        "updates": trainer.update,
        "tokens": trainer.n_tokens,
        "seed": options.seed,
        "threads": options.threads,
        "parameters": n_parameters,
        "encoder_layers": shape.encoder_layers,
        "decoder_layers": shape.decoder_layers,
        "width": shape.width,
        "inner": shape.inner,
        "pieces": len(prepared.pieces),
        "slices": {lang: len(ids) for lang, ids in prepared.slices.items()},
        "sizes": prepared.sizes,
        "shares": {stock.name: stock.share for stock in prepared.stocks if stock.examples},
        "notes": texts.notes,
        "attribution": {
            name: text
            for name, text in ATTRIBUTION.items()
            if any(size for key, size in prepared.sizes.items() if key.startswith(name))
        },
        "warm_start": options.warm_start is not None,
        "earlier": options.earlier,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "log": trainer.log,
    }
    (options.folder / "facts.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    (options.folder / "words.txt").write_text(preparation.word_table(prepared.counts), encoding="utf-8")
    (options.folder / "slices.json").write_text(json.dumps(prepared.slices), encoding="utf-8")
    if options.no_export:
        return 0
    from dsbuild.translate.mini.evaluate import write_card
    from dsbuild.translate.mini.export import export

    export(options.folder, options.out)
    write_card(options.folder, options.out, heldout, options.parallel)
    return 0


def keep_memory() -> None:
    """Have the C library keep freed memory: giving megabytes back and faulting them in anew costs a third of an update."""
    if sys.platform == "linux":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mapping of its own for a large block
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


def draw(folder: Path, count: int, seed: int) -> Path:
    """Draw the grammar's sentences once for a folder, 600 held out."""
    from dsbuild.translate.mini import generate

    path = folder / "generated.tsv"
    if not path.exists():
        generate.main(["--n", str(count), "--seed", str(seed), "--out", str(path), "--holdout", "600"])
    return path


def report_tokens(stocks: Sequence[Stock]) -> None:
    """Print the tokens of a round through every source."""
    for stock in stocks:
        target = sum(len(text) + 1 for example in stock.examples for text in example.targets)
        source = sum(len(example.source) + 1 for example in stock.examples)
        print(f"  {stock.name}: {len(stock.examples)} examples, {source} source + {target} target pieces a round, "
              f"{len(stock.masked)} with a masked copy", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
