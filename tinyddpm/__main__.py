"""The command line: python -m tinyddpm [train | sample | elbo].

Without a command it does the main job on a distribution whose density is known: train a small network,
draw samples, and print the ELBO term by term beside the exact one.
"""
import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from . import __version__, data, elbo, oracle, plot, reverse, toys
from . import run as runs


def progress_bar(total, description, unit="step"):
    from tqdm import tqdm

    style = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}{postfix}]"
    return tqdm(total=total, desc=description, unit=unit, bar_format=style, dynamic_ncols=True, mininterval=0.3)


def counted(description):
    """A `progress` for the ledger and samplers: wraps a list of times in a bar."""
    from tqdm import tqdm

    return lambda times: tqdm(times, desc=description, unit="t", dynamic_ncols=True, mininterval=0.3, leave=False)


def train_with_bar(run, dataset, rng, folder=None, minutes=None):
    total, unit = (run.settings["steps"], "step") if minutes is None else (60 * minutes, "s")
    with progress_bar(total, "training", unit) as bar:
        return runs.fit(run, dataset, rng, folder, minutes, bar)


def print_ledger(ledger, exact=None, entropy=None):
    """The ledger as a table: nats per item, ± one standard error, and beside it what is exact."""
    per_dim = ledger.bits_per_dim
    print(f"{'':14}{'nats':>10} {'± s.e.':>9}{'bits/dim':>11}" + (f"{'exact optimum':>16}" if exact is not None else ""))
    exact_parts = {} if exact is None else {"L_T": exact[-1], "sum L_{t-1}": exact[1:-1].sum(), "L_0": exact[0],
                                            "total": exact.sum()}
    for name, (mean, error) in ledger.parts().items():
        label = "-ELBO" if name == "total" else name
        print(f"{label:14}{mean:10.4f} {error:9.4f}{per_dim(mean):11.4f}"
              + (f"{exact_parts[name]:16.4f}" if exact_parts else ""))
    if entropy is not None:
        print(f"{'data entropy':14}{entropy:10.4f} {'exact':>9}{per_dim(entropy):11.4f}")


def numbers(ledger):
    """The ledger for report.json."""
    return {name: {"nats": float(mean), "standard_error": float(error), "bits_per_dim": float(ledger.bits_per_dim(mean))}
            for name, (mean, error) in ledger.parts().items()}


def main_job(arguments):
    began = time.monotonic()
    out = Path(arguments.out)
    source, dataset = toys.toy(arguments.data), runs.open_data(arguments.data)
    run, rng = runs.start(dataset, arguments.seed, steps=200 if arguments.quick else None)
    out.mkdir(parents=True, exist_ok=True)
    print(f"data: {arguments.data}, {run.settings['steps']} steps of {run.settings['batch']} points, {run.schedule}")
    run = train_with_bar(run, dataset, rng)

    x_T = rng.standard_normal((2000, 2))
    path = np.stack([x_T] + [step.x for step in reverse.ancestral_sampling(run.schedule, run.denoiser, x_T, rng)])
    plot.reverse_path(dataset.held_out, path).savefig(out / "picture.png")

    ledger = run.ledger(dataset.held_out, rng, progress=counted("ledger"))
    report = {"data": arguments.data, "seed": arguments.seed, "settings": run.settings, "ledger": numbers(ledger)}
    exact = None
    if isinstance(source, oracle.Mixture):
        exact = source.optimal_terms(run.schedule, run.settings["variance"], progress=counted("exact"))
        gap = oracle.excess(run.schedule, run.denoiser, source, rng, run.settings["variance"])
        report |= {"exact_optimum_nats": float(exact.sum()),
                   "gap_to_optimum_nats": {"mean": float(gap[0]), "standard_error": float(gap[1])}}
    entropy = source.entropy()
    report |= {"entropy_nats": entropy, "seconds": round(time.monotonic() - began, 1)}
    (out / "report.json").write_text(json.dumps(report, indent=2))

    print()
    print_ledger(ledger, exact, entropy)
    if exact is not None:
        print(f"\nthe network is {gap[0]:.4f} ± {gap[1]:.4f} nats from the optimal denoiser, "
              f"which is {exact.sum() - entropy:.4f} nats from the entropy: T = {run.schedule.T} steps are not infinitely many")
    print(f"\n{out / 'picture.png'}: data, samples, the reverse path\n{out / 'report.json'}: these numbers")


def train(arguments):
    folder = Path(arguments.out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {str(folder)!r} exists already: a run takes a folder that is new or empty")
    dataset = runs.open_data(arguments.data)
    sizes = {name: value for name, value in (("width", arguments.width), ("depth", arguments.depth)) if value is not None}
    if "depth" in sizes and dataset.kind == "images":
        sizes["inner_blocks"] = sizes.pop("depth")
    variance = arguments.variance or ("learned" if arguments.loss == "hybrid" else None)
    loss = arguments.loss or ("hybrid" if arguments.variance == "learned" else None)
    run, rng = runs.start(
        dataset, arguments.seed, steps=arguments.steps, batch=arguments.batch, rate=arguments.rate, T=arguments.T,
        schedule=arguments.schedule, predicts=arguments.predicts, variance=variance, loss=loss,
        network={**runs.DEFAULTS[dataset.kind]["network"], **sizes})
    run = train_with_bar(run, dataset, rng, folder, arguments.minutes)
    print(f"{folder}: {run.state.step} steps; go on with\n  python -m tinyddpm sample {folder}\n  python -m tinyddpm elbo {folder}")


def sample(arguments):
    run, _ = runs.load(arguments.run)
    out = Path(arguments.out) if arguments.out else Path(arguments.run) / "samples.npy"
    if out.suffix != ".npy":
        raise ValueError(f"--out {str(out)!r}: samples are written to a .npy file, and a .png beside it")
    if arguments.n < 1:
        raise ValueError(f"--n {arguments.n}: the number of samples is 1 or more")
    rng = np.random.default_rng(arguments.seed)
    x = rng.standard_normal((arguments.n, *run.settings["shape"]), np.float32)
    images = run.settings["kind"] == "images"
    if arguments.steps is None and arguments.eta is None:
        chain = reverse.ancestral_sampling(run.schedule, run.denoiser, x, rng, variance=run.settings["variance"], clip=run.clip)
        length = run.schedule.T
    else:
        eta = arguments.eta or 0.0
        length = len(reverse.sampling_times(run.schedule, arguments.steps))
        chain = reverse.ddim_sampling(run.schedule, run.denoiser, x, rng, arguments.steps, eta, run.clip)
    with progress_bar(length, "sampling") as bar:
        for step in chain:
            bar.update()
    samples = run.decode(step.x)
    np.save(out, samples)
    figure = plot.image_grid(samples[:100]) if images else plot.scatter({"samples": (samples, plot.MODEL)})
    figure.savefig(out.with_suffix(".png"))
    print(f"{out}: {samples.dtype} {samples.shape}\n{out.with_suffix('.png')}: their picture")


def print_elbo(arguments):
    run, _ = runs.load(arguments.run)
    held_out = data.load(arguments.data) if arguments.data else run.held_out
    if not 2 <= arguments.n:
        raise ValueError(f"--n {arguments.n}: a mean with a standard error takes 2 items or more")
    ledger = run.ledger(held_out[:arguments.n], np.random.default_rng(arguments.seed), progress=counted("ledger"))
    print(f"-ELBO of {len(ledger.terms)} items, T = {run.schedule.T}, variance {run.settings['variance']}")
    print_ledger(ledger)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps({"run": str(arguments.run), "ledger": numbers(ledger)}, indent=2))


def parser():
    top = argparse.ArgumentParser(
        prog="python -m tinyddpm", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Denoising diffusion in NumPy.  Without a command: train a small network on a 2-D mixture whose\n"
                    "density is known, draw samples, print the ELBO term by term beside the exact one, and write\n"
                    "picture.png and report.json to --out.")
    top.add_argument("--version", action="version", version=f"tinyddpm {__version__}")
    top.add_argument("--out", default="tinyddpm-out", help="folder for the picture and the report (%(default)s)")
    top.add_argument("--data", default="eight_gaussians", metavar="TOY", help=f"one of {', '.join(toys.TOYS)} (%(default)s)")
    top.add_argument("--seed", type=int, default=0, help="seed of all that is random (%(default)s)")
    top.add_argument("--quick", action="store_true", help="train for a moment only, to see that everything works")
    top.set_defaults(do=main_job)
    commands = top.add_subparsers(title="commands", metavar="")

    command = commands.add_parser("train", help="train a network on data and write a run folder",
                                  description="Train a network and write a run folder.  Defaults depend on the kind of data.",
                                  argument_default=argparse.SUPPRESS)
    command.set_defaults(do=train)
    command.add_argument("--data", required=True, metavar="NAME",
                         help=f"{', '.join(toys.TOYS)}; mnist (5,000 digits, shipped); mnist_full (70,000, downloaded) or a "
                              f"folder with its idx files; or a .npy, .npz or .csv file with points (N, D) or images "
                              f"(N, H, W[, C]) uint8")
    command.add_argument("--out", required=True, metavar="RUN", help="the run folder, new or empty")
    command.add_argument("--steps", type=int, default=None, help="training steps")
    command.add_argument("--minutes", type=float, default=None, help="train for so long, whatever the steps")
    command.add_argument("--batch", type=int, default=None, help="items a step")
    command.add_argument("--rate", type=float, default=None, help="peak learning rate")
    command.add_argument("--schedule", choices=list(runs.SCHEDULES), default=None)
    command.add_argument("--T", type=int, default=None, help="diffusion steps")
    command.add_argument("--predicts", choices=list(reverse.TO_EPS), default=None, help="what the network's output means")
    command.add_argument("--variance", choices=["beta", "beta_tilde", "learned"], default=None, help="of the reverse steps")
    command.add_argument("--loss", choices=runs.LOSSES, default=None, help="hybrid learns the variance")
    command.add_argument("--width", type=int, default=None, help="channels of the network")
    command.add_argument("--depth", type=int, default=None, help="blocks of the network")
    command.add_argument("--seed", type=int, default=0)

    command = commands.add_parser("sample", help="draw samples from a run", description="Draw samples from a run folder.",
                                  argument_default=argparse.SUPPRESS)
    command.set_defaults(do=sample)
    command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    command.add_argument("--n", type=int, default=64, help="how many (%(default)s)")
    command.add_argument("--out", default=None, metavar="FILE.npy", help="a .png goes beside it (RUN/samples.npy)")
    command.add_argument("--steps", type=int, default=None, help="DDIM with so many steps, in place of Algorithm 2")
    command.add_argument("--eta", type=float, default=None, help="DDIM's share of fresh noise, 0 (default) to 1")
    command.add_argument("--seed", type=int, default=0)

    command = commands.add_parser("elbo", help="print the ledger of a run's held-out data",
                                  description="Print the ELBO of held-out data, term by term.",
                                  argument_default=argparse.SUPPRESS)
    command.set_defaults(do=print_elbo)
    command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    command.add_argument("--n", type=int, default=200, help="items at the most (%(default)s)")
    command.add_argument("--data", default=None, metavar="FILE", help="a .npy, .npz or .csv file (the run's held-out data)")
    command.add_argument("--out", default=None, metavar="FILE.json", help="write the numbers there, too")
    command.add_argument("--seed", type=int, default=0)
    return top


def main(argv=None):
    """Run the command; bad input ends in one sentence on stderr and exit code 2."""
    arguments = parser().parse_args(argv)
    warnings.formatwarning = lambda message, *rest, **options: f"warning: {message}\n"
    try:
        arguments.do(arguments)
    except KeyboardInterrupt:
        sys.exit("tinyddpm: interrupted; what a run folder holds is whole")
    except (ValueError, OSError, FloatingPointError) as error:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else error
        print(f"tinyddpm: {reason}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
