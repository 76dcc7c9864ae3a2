"""The command line: python -m tinyddpm [train | sample | elbo].

Without a command it does the main job on a distribution whose density is known: train a small network,
draw samples, and print the ELBO term by term beside the exact one.
"""
import argparse
import threading
import time
from pathlib import Path

import numpy as np

from .. import __version__, oracle, sampling, toys
from ..network.threads import last_in_halves
from . import data, files, plot
from . import run as runs
from .console import (progress_over, ledger_to_dict, one_sentence_for_mistakes, positive, print_ledger, progress_bar,
                      train_with_bar, integer_at_least, write_json, write_picture)

CHOICES = ("steps", "minutes", "batch", "optimiser", "learning_rate", "schedule", "T", "predicts", "variance", "loss")  # of train


def main_job(arguments):
    began = time.monotonic()
    out, name = Path(arguments.main_out), arguments.main_data
    source, dataset = toys.toy(name), runs.open_data(name)
    run, rng = runs.start(dataset, arguments.seed, steps=200 if arguments.quick else None)
    out.mkdir(parents=True, exist_ok=True)
    print(f"data: {name}, {run.settings['steps']} steps of {run.settings['batch']} points, {run.schedule}")
    run = train_with_bar(run, dataset, rng)

    x_T = rng.standard_normal((2000, 2))
    path = np.stack([x_T] + [step.x for step in sampling.ancestral_sampling(run.schedule, run.denoiser, x_T, rng)])
    write_picture(out / "picture.png", plot.reverse_path(dataset.held_out, path))

    ledger = run.ledger(dataset.held_out, rng, progress=progress_over("ledger"))
    report = {"data": name, "seed": arguments.seed, "settings": run.settings, "ledger": ledger_to_dict(ledger)}
    exact = None
    if isinstance(source, oracle.Mixture):
        exact = source.optimal_terms(run.schedule, run.settings["variance"], progress=progress_over("exact"))
        gap = oracle.excess(run.schedule, run.denoiser, source, rng, run.settings["variance"])
        report |= {"exact_optimum_nats": float(exact.sum()),
                   "gap_to_optimum_nats": {"mean": float(gap[0]), "standard_error": float(gap[1])}}
    entropy = source.entropy()
    report |= {"entropy_nats": entropy, "seconds": round(time.monotonic() - began, 1)}
    write_json(out / "report.json", report)

    print()
    print_ledger(ledger, exact, entropy)
    if exact is not None:
        print(f"\nthe network is {gap[0]:.4f} ± {gap[1]:.4f} nats from the optimal denoiser, "
              f"which is {exact.sum() - entropy:.4f} nats from the entropy: T = {run.schedule.T} steps are not infinitely many")
    print(f"\n{out / 'picture.png'}: data, samples, the reverse path\n{out / 'report.json'}: these numbers")


def train(arguments):
    if arguments.resume is not None:
        return resume(arguments)
    if arguments.data is None or arguments.out is None:
        raise ValueError("train takes --data and --out, or --resume")
    folder = Path(arguments.out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {str(folder)!r} exists already: a run takes a folder that is new or empty; "
                         f"--resume goes on with one that was begun")
    dataset = runs.open_data(arguments.data)
    sizes = {name: value for name, value in (("width", arguments.width), ("depth", arguments.depth)) if value is not None}
    if "depth" in sizes and dataset.kind == "images":
        sizes["inner_blocks"] = sizes.pop("depth")
    run, rng = runs.start(dataset, arguments.seed, network={**runs.DEFAULTS[dataset.kind]["network"], **sizes},
                          **{name: getattr(arguments, name) for name in CHOICES})
    with runs.locked(folder, new=True):
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def resume(arguments):
    settled = [name for name in ("out", *CHOICES, "width", "depth", "seed") if getattr(arguments, name)]
    if settled:
        raise ValueError(f"--{settled[0]} has no place beside --resume: the run goes on as it was begun")
    folder = Path(arguments.resume)
    with runs.locked(folder):
        run, rng = runs.load(folder)
        dataset = runs.open_data(arguments.data or run.settings["data"])
        if dataset.sha256 != run.settings.get("sha256"):
            raise ValueError(f"data = {dataset.name!r} is not what the run was trained on so far")
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def print_trained(folder, run):
    print(f"{folder}: {run.state.step} steps; go on with\n"
          f"  python -m tinyddpm sample {folder}\n  python -m tinyddpm elbo {folder}")


def sample(arguments):
    run, _ = runs.load(arguments.run)
    out = Path(arguments.out) if arguments.out else Path(arguments.run) / "samples.npy"
    if out.suffix != ".npy" or out.name == "held_out.npy":
        raise ValueError(f"--out {str(out)!r}: samples are written to a .npy file, with a .png beside it, "
                         f"and never to a run's held_out.npy")
    runs.check_size("n", arguments.n, run.settings["shape"])
    rng = np.random.default_rng(arguments.seed)
    x = rng.standard_normal((arguments.n, *run.settings["shape"]), np.float32)
    images = run.settings["kind"] == "images"
    if arguments.steps is None and arguments.eta is None:
        length = run.schedule.T
        chain = lambda x, rng: sampling.ancestral_sampling(run.schedule, run.denoiser, x, rng, variance=run.settings["variance"], clip=run.clip)
    else:
        length, eta = len(sampling.sampling_times(run.schedule, arguments.steps)), arguments.eta or 0.0
        chain = lambda x, rng: sampling.ddim_sampling(run.schedule, run.denoiser, x, rng, arguments.steps, eta, run.clip)
    with progress_bar(length, "sampling") as bar, np.errstate(over="ignore", invalid="ignore"):  # said in words, right below
        def counted_chain(half, rng):
            for step in chain(half, rng):
                if threading.current_thread() is threading.main_thread():  # one half counts for both
                    bar.update()
                yield step
        x_0 = last_in_halves(counted_chain, x, rng, runs.LEAST[run.settings["kind"]])
    if not np.isfinite(x_0).all():
        raise ValueError(f"run = {arguments.run!r} gives samples that are not finite: its training has diverged")
    samples = run.decode(x_0)
    files.replace(out, lambda file: np.save(file, samples))
    figure = plot.image_grid(samples[:100]) if images else plot.scatter({"samples": (samples, plot.MODEL)})
    write_picture(out.with_suffix(".png"), figure)
    print(f"{out}: {samples.dtype} {samples.shape}\n{out.with_suffix('.png')}: their picture")


def print_elbo(arguments):
    run, _ = runs.load(arguments.run)
    held_out = data.load(arguments.data) if arguments.data else run.held_out
    if len(held_out[:arguments.n]) < 2:
        raise ValueError(f"--n {arguments.n} of {len(held_out)} items: a mean with a standard error takes 2 or more")
    if arguments.out is not None and (not arguments.out.endswith(".json") or arguments.out.endswith("settings.json")):
        raise ValueError(f"--out {arguments.out!r}: the numbers are written to a .json file, and not a run's settings.json")
    variance = arguments.variance or run.settings["variance"]
    with np.errstate(over="ignore", invalid="ignore"):  # said in words, right below
        ledger = run.ledger(held_out[:arguments.n], np.random.default_rng(arguments.seed), variance=variance, progress=progress_over("ledger"))
    if not np.isfinite(ledger.terms).all():
        raise ValueError(f"run = {arguments.run!r} gives a ledger that is not finite: its training has diverged")
    print(f"-ELBO of {len(ledger.terms)} items, T = {run.schedule.T}, variance {variance}")
    print_ledger(ledger)
    if arguments.out:
        write_json(arguments.out, {"run": str(arguments.run), "variance": variance, "ledger": ledger_to_dict(ledger)})


def parser():
    top = argparse.ArgumentParser(
        prog="python -m tinyddpm", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Denoising diffusion in NumPy.  Without a command: train a small network on a 2-D mixture whose\n"
                    "density is known, draw samples, print the ELBO term by term beside the exact one, and write\n"
                    "picture.png and report.json to --out.")
    top.add_argument("--version", action="version", version=f"tinyddpm {__version__}")
    top.add_argument("--out", dest="main_out", default="tinyddpm-out", metavar="DIR",
                     help="folder for the picture and the report (%(default)s)")
    top.add_argument("--data", dest="main_data", default="eight_gaussians", metavar="TOY",
                     help=f"one of {', '.join(toys.TOYS)} (%(default)s)")
    top.add_argument("--seed", type=integer_at_least(0), default=0, help="seed of all that is random (%(default)s)")
    top.add_argument("--quick", action="store_true", help="train for a moment only, to see that everything works")
    top.set_defaults(do=main_job)
    commands = top.add_subparsers(title="commands", metavar="")

    def add(name, do, help, description):
        command = commands.add_parser(name, help=help, description=description)
        command.set_defaults(do=do)
        command.add_argument("--seed", type=integer_at_least(0), default=argparse.SUPPRESS, help="seed of all that is random (0)")
        return command

    command = add("train", train, "train a network on data and write a run folder",
                  "Train a network and write a run folder.  Defaults depend on the kind of data.")
    command.add_argument("--data", metavar="NAME",
                         help=f"{', '.join(toys.TOYS)}; mnist (5,000 digits, shipped); mnist_full (70,000, downloaded) or a "
                              f"folder with its idx files; or a .npy, .npz or .csv file with points (N, D) or images "
                              f"(N, H, W[, C]) uint8")
    command.add_argument("--out", metavar="RUN", help="the run folder, new or empty")
    command.add_argument("--resume", metavar="RUN", help="instead of all others: go on with a run that was interrupted")
    command.add_argument("--save-every", type=positive, default=60.0, metavar="SECONDS", help="between checkpoints (%(default)s)")
    command.add_argument("--steps", type=integer_at_least(1), help="training steps")
    command.add_argument("--minutes", type=positive, help="train for so long, whatever the steps")
    command.add_argument("--batch", type=integer_at_least(1), help="items a step")
    command.add_argument("--optimiser", choices=runs.OPTIMISERS, help="adam, or muon for the matrices of hidden layers")
    command.add_argument("--learning-rate", "--rate", type=positive, help="peak learning rate")
    command.add_argument("--schedule", choices=list(runs.SCHEDULES))
    command.add_argument("--T", type=integer_at_least(1), help="diffusion steps")
    command.add_argument("--predicts", choices=runs.PREDICTS, help="what the network's output means")
    command.add_argument("--variance", choices=runs.VARIANCES, help="of the reverse steps; learned goes with the losses hybrid and bits")
    command.add_argument("--loss", choices=runs.LOSSES, help="hybrid learns the variance; v goes with --predicts v, bits with prior")
    command.add_argument("--width", type=integer_at_least(1), help="channels of the network")
    command.add_argument("--depth", type=integer_at_least(1), help="blocks of the network")

    command = add("sample", sample, "draw samples from a run", "Draw samples from a run folder.")
    command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    command.add_argument("--n", type=integer_at_least(1), default=64, help="how many (%(default)s)")
    command.add_argument("--out", metavar="FILE.npy", help="a .png goes beside it (RUN/samples.npy)")
    command.add_argument("--steps", type=integer_at_least(1), help="DDIM with so many steps, in place of Algorithm 2")
    command.add_argument("--eta", type=float, help="DDIM's share of fresh noise, 0 (default) to 1")

    command = add("elbo", print_elbo, "print the ledger of a run's held-out data",
                  "Print the ELBO of held-out data, term by term.")
    command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    command.add_argument("--n", type=integer_at_least(2), default=200, help="items at the most (%(default)s)")
    command.add_argument("--data", metavar="FILE", help="a .npy, .npz or .csv file (the run's held-out data)")
    command.add_argument("--variance", choices=runs.VARIANCES, help="of the reverse steps (the run's); learned takes a run that has it")
    command.add_argument("--out", metavar="FILE.json", help="write the numbers there, too")
    return top


def main(argv=None):
    """Run the command; bad input ends in one sentence on stderr and exit code 2."""
    top = parser()
    arguments = top.parse_args(argv)
    if arguments.do is not main_job and (arguments.quick or arguments.main_out != top.get_default("main_out")
                                         or arguments.main_data != top.get_default("main_data")):
        top.error("--quick, --out and --data before a command are those of the main job: say them after it, or not at all")
    with one_sentence_for_mistakes():
        arguments.do(arguments)

