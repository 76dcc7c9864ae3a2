"""How many processes are worth it?

    python demos/machines.py             # needs mpiexec and mpi4py: pip install 'tinyddpm[mpi]'

A training step on K ranks takes about
    compute/K + α·2·log₂K + β·2·(K − 1)/K·weights,
the gradient of each rank's part of the batch, and one Allreduce of the weight vector: a start-up
time α for each message, and β for each weight sent (Thakur et al. 2005 count them so).  Measured
here: the step on one rank and one core, on as many ranks as there are cores, and Allreduces of
several lengths, to which α and β are fitted.  For the network of a cluster α and β are assumed, and
the picture says so.  1,000 samples need no Allreduce: each rank runs its own chains.
Writes machines.png and report.json.
"""
# %%
import json
import os
import subprocess
import sys
import time

import numpy as np
from common import demo_parser, finish, run_demo
from scipy.optimize import nnls

from tinyddpm import conv_denoiser, linear, training
from tinyddpm.app import plot, ranks
from tinyddpm.app.console import write_picture
from tinyddpm.network.weights import count

BATCHES = (64, 256, 1024)
LENGTHS = (1, 10 ** 4, 10 ** 5, 4 * 10 ** 5, 10 ** 6)  # of Allreduces, in float32
# A network that a cluster may have, assumed: 20 µs a message, 10 Gbit/s.
CLUSTER = {"alpha": 20e-6, "beta": 32 / 10e9}
NETWORK = conv_denoiser(width=32)
WEIGHTS = count(NETWORK.layout)


# %% What one rank does; rank 0 prints the seconds.
def median_seconds(function, times):
    function()
    taken = []
    for _ in range(times):
        ranks.wait_for_all()
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def measure(quick):
    """{batch: seconds of a training step}, seconds of one step of 1,000 samples, {length: …}."""
    from autograd import value_and_grad

    from tinyddpm import ancestral_sampling, final_sample
    from tinyddpm.network import threads

    schedule, rng, repeats = linear(1000), np.random.default_rng(0), 1 if quick else 7
    weights = training.initial_state(NETWORK, rng).weights
    if ranks.world() is None:
        threads.IS_HALF.set(True)  # one core: no batch is halved

    def draw(rng, n):
        return rng.standard_normal((n, 28, 28, 1), np.float32)

    def differentiate(f):
        return ranks.shared_gradient(value_and_grad(f))
    steps = {}
    for batch in BATCHES[:1] if quick else BATCHES:
        loop = training.train(schedule, NETWORK, draw, np.random.default_rng(0), 10 ** 9, batch,
                              differentiate=differentiate)
        with threads.one_blas_thread():
            steps[batch] = median_seconds(lambda loop=loop: next(loop), repeats)

    denoiser = ranks.shared_denoiser(training.denoiser(schedule, NETWORK, weights))
    n, length = (8, 2) if quick else (1000, 4)
    x_T = draw(rng, n)

    def chain(x, rng):
        return ancestral_sampling(schedule, denoiser, x, rng, start=length)

    def sample():
        if ranks.world() is None:
            return final_sample(chain(x_T, np.random.default_rng(0)))
        return ranks.shared_samples(chain, x_T, np.random.default_rng(0))
    with threads.one_blas_thread():
        sampling = median_seconds(sample, 1 if quick else 3) / length
    allreduce = {}
    if ranks.world() is not None:
        from mpi4py import MPI

        for length in LENGTHS:
            vector = np.ones(length, np.float32)
            allreduce[length] = median_seconds(
                lambda vector=vector: ranks.world().Allreduce(MPI.IN_PLACE, vector), 50)
    return {"steps": steps, "sampling": sampling, "allreduce": allreduce}


def on_ranks(k, quick):
    """`measure` on k ranks, in processes of their own."""
    if ranks.mpiexec() is None:
        raise ValueError("machines needs mpiexec and mpi4py: pip install 'tinyddpm[mpi]'")
    command = [sys.executable, __file__, "--worker"] + ["--quick"] * quick
    if k > 1:
        command = [ranks.mpiexec(), "-n", str(k), *command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{' '.join(command[:3])} ended with exit code {done.returncode}: "
                         f"{done.stderr.strip().splitlines()[-1]}")
    numbers = json.loads(done.stdout.splitlines()[-1])
    numbers["steps"] = {int(batch): seconds for batch, seconds in numbers["steps"].items()}
    return numbers


# %% The model of the cost.
def messages(k):
    """How often α and how often β count in one Allreduce among k ranks."""
    return 2 * np.log2(k), 2 * (k - 1) / k


def fit(allreduce, k):
    """α and β ≥ 0 from {length: seconds}; longer ones weigh as much as shorter ones."""
    starts, sent = messages(k)
    lengths = np.array([float(length) for length in allreduce])
    seconds = np.array(list(allreduce.values()))
    rows = np.stack([np.full(len(lengths), starts), sent * lengths], 1) / seconds[:, None]
    (alpha, beta), _ = nnls(rows, np.ones(len(lengths)))
    return {"alpha": float(alpha), "beta": float(beta)}


def predicted(compute, k, network):
    starts, sent = messages(k)
    return compute / k + network["alpha"] * starts + network["beta"] * sent * WEIGHTS


def last_that_pays(compute, network, batch, gain=0.8):
    """The largest K of 2, 4, 8 … to which doubling cut the step to 0.8 of its time or less.

    K is at most the batch: then each rank has one item.
    """
    def time_of(k):
        return predicted(compute, k, network)
    k = 1
    while 2 * k <= batch and time_of(2 * k) <= gain * time_of(k):
        k *= 2
    return k


# %%
def main(out, seed, quick, worker):
    if worker:
        numbers = measure(quick)
        if ranks.rank() == 0:
            print(json.dumps(numbers))
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = sorted({1, 2, max(2, cores)})
    measured = {k: on_ranks(k, quick) for k in counts}
    here, alone = fit(measured[2]["allreduce"], 2), measured[1]["steps"]
    print(f"{'seconds a step':24}" + "".join(f"{f'K = {k}':>10}" for k in counts)
          + f"{'model, K = 2':>14}")
    for batch, seconds in alone.items():
        row = "".join(f"{measured[k]['steps'][batch]:10.4f}" for k in counts)
        print(f"training, batch {batch:8}{row}{predicted(seconds, 2, here):14.4f}")
    row = "".join(f"{measured[k]['sampling']:10.4f}" for k in counts)
    print(f"{'1,000 samples':24}{row}{measured[1]['sampling'] / 2:14.4f}\n"
          f"Allreduce here: {1e6 * here['alpha']:.0f} µs a message, {1e9 * here['beta']:.2f} ns a "
          f"weight; {WEIGHTS:,} weights")

    # %%
    figure, (ax,) = plot.new_figure(1, 7, 4.4)
    ks = 2.0 ** np.arange(11)
    for colour, (batch, seconds) in zip((plot.MODEL, plot.DATA, plot.EXACT), alone.items()):
        possible = ks[ks <= batch]  # a rank takes one item or more
        ax.plot(possible, [predicted(seconds, k, CLUSTER) for k in possible], color=colour)
        ax.plot(possible, seconds / possible, color=colour, linestyle=":", linewidth=1)
        ax.plot(counts, [measured[k]["steps"][batch] for k in counts], "o", color=colour)
        ax.text(ks[0] * 1.1, 1.15 * seconds, f"batch {batch}", color=colour)
    ax.set(xscale="log", yscale="log", xlabel="K, processes", ylabel="seconds a training step",
           xticks=ks, xticklabels=[f"{k:.0f}" for k in ks])
    ax.set_title("Points: measured here.  Lines: on a network of 10 Gbit/s, 20 µs (assumed);\n"
                 "dotted: without communication", loc="left", fontsize=10)
    write_picture(out / "machines.png", figure)
    pays = {batch: last_that_pays(seconds, CLUSTER, batch) for batch, seconds in alone.items()}
    first = next(iter(alone))
    answer = (f"Here two take {measured[2]['steps'][first] / alone[first]:.2f} of the time of one "
              f"core for a training step of {first} digits, and "
              f"{measured[2]['sampling'] / measured[1]['sampling']:.2f} for 1,000 samples.  On a "
              f"cluster's network (assumed: 20 µs, 10 Gbit/s) doubling stops paying after K = "
              + ", ".join(f"{k} for a batch of {batch}" for batch, k in pays.items()) + ".")
    finish(out, answer, seed, measured=measured, fitted=here, assumed=CLUSTER, weights=WEIGHTS,
           last_that_pays=pays)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "machines-out")
    parser.add_argument("--worker", action="store_true", help="used by the demo itself")
    run_demo(main, parser)
