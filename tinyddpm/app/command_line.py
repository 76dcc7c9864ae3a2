"""The command line: python -m tinyddpm [train | sample | elbo].

Without a command it does the main job: train a small network on a distribution whose density is
known, draw samples, and print the ELBO term by term beside the exact one.
"""
import argparse
import copy
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, elbo, oracle, sampling, toys
from ..gaussian import Array
from ..network.threads import last_in_halves
from . import data, files, plot, run as runs, settings  # `run` is a Run in this file
from .console import (integer_at_least, ledger_to_dict, one_sentence_for_mistakes, positive,
                      print_beside_optimum, print_ledger, progress_bar, progress_over,
                      terms_to_dict, train_with_bar, write_json, write_picture)

# The options of train that are settings of the run, under the same names.
CHOICES = ("steps", "minutes", "batch", "optimiser", "learning_rate", "schedule", "T", "predicts",
           "variance", "loss")


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
        print_ledger(ledger, in_bits=False)
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


def say(text: str) -> None:
    """Print a paragraph, in lines that fit any terminal."""
    print("\n" + textwrap.fill(text, 90))


def say_why_negative(ledger: elbo.Ledger) -> None:
    if ledger.summary()["L_0"][0] < 0:
        say("L_0 is negative because it is -log of a density, and a density may be larger than 1.")


def train(arguments: argparse.Namespace) -> None:
    if arguments.resume is not None:
        return resume(arguments)
    if arguments.data is None or arguments.out is None:
        raise ValueError("train takes --data and --out, or --resume")
    folder = Path(arguments.out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {str(folder)!r} exists already: choose a folder that is new or "
                         f"empty, or continue a run with --resume")
    dataset = runs.open_data(arguments.data)
    recipe = arguments.recipe or "best"
    choices = {name: getattr(arguments, name) for name in CHOICES}
    network = network_options(arguments, recipe, dataset.kind)
    run, rng = runs.start(dataset, arguments.seed, recipe, network=network, **choices)
    with runs.locked(folder, new=True):
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def network_options(arguments: argparse.Namespace, recipe: str, kind: str) -> dict[str, int]:
    """The sizes of the network: --width and --depth, where given, in place of the recipe's."""
    options = dict(settings.RECIPES[recipe][kind]["network"])
    if arguments.width is not None:
        options["width"] = arguments.width
    if arguments.depth is not None:
        options["depth" if kind == "points" else "inner_blocks"] = arguments.depth
    return options


def resume(arguments: argparse.Namespace) -> None:
    fixed = ("out", "recipe", *CHOICES, "width", "depth", "seed")
    given = [name.replace("_", "-") for name in fixed if getattr(arguments, name)]
    if given:
        raise ValueError(f"--{given[0]} cannot be given with --resume: "
                         f"the run continues with the settings it was begun with")
    folder = Path(arguments.resume)
    with runs.locked(folder):
        run, rng = runs.load(folder)
        dataset = runs.open_data(arguments.data or run.settings["data"])
        if dataset.sha256 != run.settings.get("sha256"):
            raise ValueError(f"data = {dataset.name!r} is not what the run was trained on so far: "
                             f"give the same file by --data")
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def print_trained(folder: Path, run: runs.Run) -> None:
    print(f"{folder}: {run.state.step} steps; go on with\n"
          f"  python -m tinyddpm sample {folder}\n  python -m tinyddpm elbo {folder}")


def sample(arguments: argparse.Namespace) -> None:
    run, _ = runs.load(arguments.run)
    out = Path(arguments.out) if arguments.out else Path(arguments.run) / "samples.npy"
    if out.suffix != ".npy" or out.name == "held_out.npy":
        raise ValueError(f"--out {str(out)!r}: samples are written to a .npy file, with a .png "
                         f"beside it; held_out.npy is a run's own file")
    runs.check_size("n", arguments.n, run.settings["shape"])
    rng = np.random.default_rng(arguments.seed)
    x_T = rng.standard_normal((arguments.n, *run.settings["shape"]), np.float32)
    x_0 = draw_samples(run, x_T, rng, arguments.steps, arguments.eta)
    if not np.isfinite(x_0).all():
        raise ValueError(f"run = {arguments.run!r} gives samples that are not finite: "
                         f"its training has diverged")
    samples = run.decode(x_0)
    files.replace(out, lambda file: np.save(file, samples))
    if run.is_images:
        figure = plot.image_grid(samples[:100])
    else:
        figure = plot.scatter({"samples": (samples, plot.MODEL)})
    write_picture(out.with_suffix(".png"), figure)
    print(f"{out}: {samples.dtype} {samples.shape}\n{out.with_suffix('.png')}: their picture")


def draw_samples(run: runs.Run, x_T: Array, rng: np.random.Generator, steps: int | None = None,
                 eta: float | None = None) -> Array:
    """x_0 by Algorithm 2, or by DDIM if `steps` or `eta` is given; with a progress bar."""
    if steps is None and eta is None:
        sampler: Callable = sampling.ancestral_sampling
        options: dict[str, Any] = {"variance": run.settings["variance"]}
        length = run.schedule.T
    else:
        sampler = sampling.ddim_sampling
        options = {"steps": steps, "eta": eta or 0.0}
        length = len(sampling.sampling_times(run.schedule, steps))
    denoiser, least = run.denoiser, runs.LEAST_TO_HALVE[run.settings["kind"]]
    bar = progress_bar(length, "sampling")

    def sampler_with_bar(x: Array, rng: np.random.Generator) -> Iterator[sampling.SamplingStep]:
        for step in sampler(run.schedule, denoiser, x, rng, clip=run.clip, **options):
            # The two halves of x_T run in two threads; the main thread moves the bar.
            if threading.current_thread() is threading.main_thread():
                bar.update()
            yield step

    with bar, np.errstate(over="ignore", invalid="ignore"):  # the caller checks x_0
        return last_in_halves(sampler_with_bar, x_T, rng, least)


def print_elbo(arguments: argparse.Namespace) -> None:
    run, _ = runs.load(arguments.run)
    held_out = data.load(arguments.data) if arguments.data else run.held_out
    items = held_out[:arguments.n]
    out = arguments.out
    if len(items) < 2:
        raise ValueError(f"--n {arguments.n} of {len(held_out)} items: "
                         f"a mean with a standard error takes 2 or more")
    if out is not None and (not out.endswith(".json") or out.endswith("settings.json")):
        raise ValueError(f"--out {out!r}: the numbers are written to a .json file; "
                         f"settings.json is a run's own file")
    variance = arguments.variance or run.settings["variance"]
    rng = np.random.default_rng(arguments.seed)
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        ledger = run.ledger(items, rng, variance=variance, progress=progress_over("ledger"))
    if not np.isfinite(ledger.terms).all():
        raise ValueError(f"run = {arguments.run!r} gives a ledger that is not finite: "
                         f"its training has diverged")
    print(f"-ELBO of {len(items)} items, T = {run.schedule.T}, variance {variance}")
    print_ledger(ledger, in_bits=run.is_images)
    if not run.is_images:
        say_why_negative(ledger)
    if out is not None:
        write_json(out, {"run": str(arguments.run), "variance": variance,
                         "ledger": ledger_to_dict(ledger, in_bits=run.is_images)})


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m tinyddpm", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Denoising diffusion in NumPy.  Without a command: train a small network on a\n"
                    "2-D mixture whose density is known, draw samples, print the ELBO term by\n"
                    "term beside the exact one, and write picture.png and report.json to --out.")
    top.add_argument("--version", action="version", version=f"tinyddpm {__version__}")
    top.add_argument("--out", dest="main_out", default="tinyddpm-out", metavar="DIR",
                     help="folder for the picture and the report (%(default)s)")
    top.add_argument("--data", dest="main_data", default="eight_gaussians", metavar="TOY",
                     help=f"one of {', '.join(toys.TOYS)} (%(default)s)")
    top.add_argument("--seed", type=integer_at_least(0), default=0,
                     help="seed of all random numbers (%(default)s)")
    top.add_argument("--quick", action="store_true",
                     help="train for a moment only, to see that everything works")
    top.set_defaults(do=main_job)
    commands = top.add_subparsers(title="commands", metavar="")
    add_train(commands)
    add_sample(commands)
    add_elbo(commands)
    return top


def add_command(commands: Any, name: str, do: Callable, help: str,
                description: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help, description=description,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    command.set_defaults(do=do)
    command.add_argument("--seed", type=integer_at_least(0), default=argparse.SUPPRESS,
                         help="seed of all random numbers (0)")
    return command


def add_train(commands: Any) -> None:
    command = add_command(
        commands, "train", train, "train a network on data and write a run folder",
        "Train a network and write a run folder.  A recipe chooses every setting, by the kind of\n"
        "data, points or images; an option below replaces one of its choices.\n\n"
        "recipes:\n"
        "  best    the default\n"
        "          images: schedule grey_levels, T 1000, predicts prior, loss bits, variance\n"
        "            learned, optimiser muon: fewer bits per dimension after the same minutes\n"
        "          points: schedule log_snr_uniform, T 100, otherwise as ddpm: sampling takes a\n"
        "            tenth of the time, and -ELBO is higher because of the fewer steps\n"
        "  ddpm    the model of Ho et al. 2020, for images and points: schedule linear, T 1000,\n"
        "          predicts eps, loss simple, variance beta, optimiser adam\n"
        "  Both have the same network, batch, learning rate, steps and EMA of the weights.")
    command.add_argument(
        "--data", metavar="NAME",
        help=f"{', '.join(toys.TOYS)}; mnist (5,000 digits, shipped); mnist_full (70,000, "
             f"downloaded) or a folder with its idx files; or a .npy, .npz or .csv file with "
             f"points (N, D) or images (N, H, W[, C]) uint8")
    command.add_argument("--out", metavar="RUN", help="the run folder, new or empty")
    command.add_argument("--resume", metavar="RUN",
                         help="continue an interrupted run, with the settings it was begun with")
    command.add_argument("--save-every", type=positive, default=60.0, metavar="SECONDS",
                         help="between checkpoints (%(default)s)")
    command.add_argument("--recipe", choices=list(settings.RECIPES),
                         help="see above (best)")
    command.add_argument("--steps", type=integer_at_least(1), help="training steps")
    command.add_argument("--minutes", type=positive,
                         help="train for so long, in place of --steps")
    command.add_argument("--batch", type=integer_at_least(1), help="items for each step")
    command.add_argument("--optimiser", choices=settings.OPTIMISERS,
                         help="adam, or muon for the matrices of hidden layers")
    command.add_argument("--learning-rate", "--rate", type=positive, help="its peak")
    command.add_argument("--schedule", choices=list(settings.SCHEDULES))
    command.add_argument("--T", type=integer_at_least(1), help="diffusion steps")
    command.add_argument("--predicts", choices=settings.PREDICTS,
                         help="what the network's output means; prior: the prior of each pixel")
    command.add_argument("--variance", choices=settings.VARIANCES,
                         help="of the reverse steps; learned goes with the losses hybrid and bits")
    command.add_argument("--loss", choices=settings.LOSSES,
                         help="hybrid learns the variance; v goes with --predicts v, bits with "
                              "prior")
    command.add_argument("--width", type=integer_at_least(1), help="channels of the network")
    command.add_argument("--depth", type=integer_at_least(1), help="blocks of the network")


def add_sample(commands: Any) -> None:
    command = add_command(commands, "sample", sample, "draw samples from a run",
                          "Draw samples from a run folder.")
    command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    command.add_argument("--n", type=integer_at_least(1), default=64, help="how many (%(default)s)")
    command.add_argument("--out", metavar="FILE.npy",
                         help="a .png is written beside it (RUN/samples.npy)")
    command.add_argument("--steps", type=integer_at_least(1),
                         help="DDIM with so many steps, in place of Algorithm 2")
    command.add_argument("--eta", type=float, help="DDIM's share of fresh noise, 0 (default) to 1")


def add_elbo(commands: Any) -> None:
    command = add_command(commands, "elbo", print_elbo,
                          "print the ledger of a run's held-out data",
                          "Print the ELBO of held-out data, term by term.")
    command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    command.add_argument("--n", type=integer_at_least(2), default=200,
                         help="items at the most (%(default)s)")
    command.add_argument("--data", metavar="FILE",
                         help="a .npy, .npz or .csv file (the run's held-out data)")
    command.add_argument("--variance", choices=settings.VARIANCES,
                         help="of the reverse steps (the run's); learned takes a run that has it")
    command.add_argument("--out", metavar="FILE.json", help="write the numbers there, too")


def main(argv: list[str] | None = None) -> None:
    """Run the command; an error ends it with one sentence on stderr and exit code 2."""
    top = parser()
    arguments = top.parse_args(argv)
    # Options before the command, as in `--out X train`, would be silently ignored.
    of_main_job = {"quick": False, "main_out": top.get_default("main_out"),
                   "main_data": top.get_default("main_data")}
    has_command = arguments.do is not main_job
    is_changed = any(getattr(arguments, name) != value for name, value in of_main_job.items())
    if has_command and is_changed:
        top.error("--quick, --out and --data before a command belong to the main job: "
                  "give --out and --data after the command")
    with one_sentence_for_mistakes():
        arguments.do(arguments)
