"""The main job: python -m tinyddpm, without a command.

Train a small network on a distribution whose density is known, draw samples, and print the ELBO
term by term beside the exact one.
"""
import argparse
import copy
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import elbo, oracle, sampling, toys
from . import plot, run as runs  # `run` is a Run in this file
from .console import (ledger_to_dict, print_beside_optimum, progress_over, say,
                      say_why_negative, terms_to_dict, train_with_bar, write_json, write_picture)


def main_job(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    out, name = Path(arguments.main_out), arguments.main_data
    source, dataset = toys.toy(name), runs.open_data(name)
    run, rng = runs.start(dataset, arguments.seed, steps=200 if arguments.quick else None)
    out.mkdir(parents=True, exist_ok=True)
    print(f"data:      {name}\n"
          f"training:  {run.settings['steps']} steps of {run.settings['batch']} points\n"
          f"schedule:  {run.schedule}")
    run = train_with_bar(run, dataset, rng)

    x_T = rng.standard_normal((2000, 2))
    chain = sampling.ancestral_sampling(run.schedule, run.denoiser, x_T, rng)
    path = np.stack([x_T] + [step.x for step in chain])
    write_picture(out / "picture.png", plot.reverse_path(dataset.held_out, path))

    same_rng = copy.deepcopy(rng)  # so that the optimal denoiser's ledger has the same noise
    ledger = run.ledger(dataset.held_out, rng, progress=progress_over("ledger"))
    entropy = source.entropy()
    report = {"data": name, "seed": arguments.seed, "settings": run.settings,
              "ledger": ledger_to_dict(ledger, in_bits=False)}
    print(f"\n-ELBO of {len(dataset.held_out)} held-out points, in nats per point:\n")
    if isinstance(source, oracle.Mixture):
        report |= beside_optimum(run, source, ledger, rng, same_rng, entropy)
    else:
        print(ledger)
        print(f"{'data entropy':14}{entropy:10.4f}{'exact':>10}")
    say_why_negative(ledger)
    report |= {"entropy_nats": entropy, "seconds": round(time.monotonic() - began, 1)}
    write_json(out / "report.json", report)
    print(f"\n{out / 'picture.png'}: data, samples, the reverse path\n"
          f"{out / 'report.json'}: these numbers")


def beside_optimum(run: runs.Run, source: oracle.Mixture, ledger: elbo.Ledger,
                   rng: np.random.Generator, same_rng: np.random.Generator,
                   entropy: float) -> dict[str, Any]:
    """Compute the optimal denoiser's −ELBO, print it beside the network's, return both for JSON.

    same_rng: the generator as it was before the network's ledger.
    """
    best, variance = source.denoiser(run.schedule), run.settings["variance"]
    optimal = run.ledger(run.held_out, same_rng, best, progress=progress_over("optimal ledger"))
    terms = source.optimal_terms(run.schedule, variance, progress=progress_over("exact"))
    gap, gap_error = oracle.excess(run.schedule, run.denoiser, source, rng, variance)
    paired, paired_error = elbo.mean_and_error(ledger.terms.sum(1) - optimal.terms.sum(1))
    exact = terms_to_dict(terms)

    print_beside_optimum(ledger, optimal, exact, entropy)
    network, same = ledger.summary()["total"][0], optimal.summary()["total"][0]
    say(f"The network's -ELBO is {gap:.4f} ± {gap_error:.4f} nats above that of the optimal "
        f"denoiser, which is {exact['total'] - entropy:.4f} nats above the entropy of the data, "
        f"because the chain has only T = {run.schedule.T} steps.")
    say(f"± is the standard error: other points and other noise would give other numbers.  For "
        f"the same points and the same noise the optimal denoiser gets {same:.4f}, and not its "
        f"mean of {exact['total']:.4f}.  The difference {network:.4f} - {same:.4f} = {paired:.4f} "
        f"± {paired_error:.4f} is a noisy estimate of the gap; {gap:.4f} ± {gap_error:.4f} comes "
        f"from the squared difference of the two denoisers' outputs, which is far less noisy.")
    return {"exact_optimum_nats": exact["total"],
            "exact_optimum_terms_nats": exact,
            "optimal_ledger_same_draws": ledger_to_dict(optimal, in_bits=False),
            "gap_to_optimum_nats": {"mean": float(gap), "standard_error": float(gap_error)},
            "gap_same_draws_nats": {"mean": float(paired), "standard_error": float(paired_error)}}
