"""Digits: what does a small denoiser learn from 4,500 handwritten digits in a few minutes on a CPU?

    python demos/mnist.py --minutes 5

trains the convolutional denoiser and writes to --out: samples.npy ((N, 28, 28) uint8), samples.png,
reverse.gif (noise turning into digits), ledger.png, and report.json with the ELBO of held-out digits in
bits per dimension.  The run folder beside them serves `python -m tinyddpm sample` and `elbo`.
"""
# %%
import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinyddpm import plot, reverse, run as runs
from tinyddpm.console import numbers, one_sentence_for_mistakes, positive, print_ledger, train_with_bar, whole, write_json


def main(minutes, out, seed=0, n=64, held_out=100, quick=False):
    # %% Train.
    dataset = runs.open_data("mnist")
    choices = dict(T=20, batch=16, network=dict(width=8, outer_blocks=1, inner_blocks=1)) if quick else {}
    if quick:
        minutes, n, held_out = 0.03, 4, 4
    run, rng = runs.start(dataset, seed, minutes=minutes, **choices)
    out.mkdir(parents=True, exist_ok=True)
    with runs.locked(out / "run", new=not (out / "run" / "settings.json").exists()):
        run = train_with_bar(run, dataset, rng, out / "run")

    # %% Sample: every step of Algorithm 2 is seen, and the film keeps 60 of them.
    x, path = rng.standard_normal((n, 28, 28), np.float32), []
    kept = set(np.linspace(0, run.schedule.T, 60).round().astype(int))
    steps = reverse.ancestral_sampling(run.schedule, run.denoiser, x, rng, clip=run.clip)
    for step in tqdm(steps, "sampling", run.schedule.T):
        if step.t in kept:
            path.append(run.decode(step.x[:36]))
    samples = run.decode(step.x)
    np.save(out / "samples.npy", samples)
    plot.image_grid(samples).savefig(out / "samples.png")
    plot.save_animation(plot.animate_images(np.stack(path)), out / "reverse.gif")

    # %% The ledger of digits that were never trained on.
    ledger = run.ledger(dataset.held_out[:held_out], rng, progress=lambda times: tqdm(times, "ledger"))
    plot.ledger_per_t(ledger).savefig(out / "ledger.png")
    report = {"minutes": minutes, "seed": seed, "steps": run.state.step, "settings": run.settings,
              "held_out": held_out, "ledger": numbers(ledger)}
    write_json(out / "report.json", report)
    print(f"\n{run.state.step} steps of {run.settings['batch']} digits; held-out digits: {held_out}")
    print_ledger(ledger)
    print(f"{out}: samples.npy, samples.png, reverse.gif, ledger.png, report.json, run/")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=positive, default=5, help="of training (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("mnist-out"))
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--quick", action="store_true", help="a moment only, to see that everything works")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(arguments.minutes, arguments.out, arguments.seed, quick=arguments.quick)
