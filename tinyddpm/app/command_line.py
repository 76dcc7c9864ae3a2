"""The command line: python -m tinyddpm [train | sample | elbo | info], options and their help."""
import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__, toys
from . import commands, data, settings
from .console import integer_at_least, one_sentence_for_mistakes, positive
from .main_job import main_job
from .process import keep_freed_memory


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
    top.set_defaults(do=main_job, command=top)
    group = top.add_subparsers(title="commands", metavar="")
    add_train(group)
    add_sample(group)
    add_elbo(group)
    add_command(group, "info", commands.show, "say what a run is, how far it got, how to go on",
                "Say what a run folder holds, how far its training got, and how to go on.")
    return top


def add_command(group: Any, name: str, do: Callable, help: str,
                description: str) -> argparse.ArgumentParser:
    command = group.add_parser(name, help=help, description=description,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    command.set_defaults(do=do, command=command)
    if do is commands.show:
        command.add_argument("run", metavar="RUN", help="a folder that train wrote")
    elif do is not commands.train:
        command.add_argument("run", metavar="RUN", nargs="?",
                             help="a folder that train wrote (the trained denoiser of digits that "
                                  "comes with the package)")
    if do is not commands.show:
        command.add_argument("--seed", type=integer_at_least(0), default=argparse.SUPPRESS,
                             help="seed of all random numbers (0)")
    return command


def add_train(group: Any) -> None:
    command = add_command(
        group, "train", commands.train, "train a network on data and write a run folder",
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
             f"downloaded); or points (N, D) or images (N, H, W[, C]) uint8 of your own: "
             f"{data.WHAT_IS_READ}")
    command.add_argument("--columns", metavar="A,B", default=(),
                         type=lambda text: [name.strip() for name in text.split(",")],
                         help="of points in a file: names from its first line, or numbers from 0 "
                              "(all)")
    command.add_argument("--out", metavar="RUN", help="the run folder, new or empty")
    command.add_argument("--resume", metavar="RUN",
                         help="continue an interrupted run, with the settings it was begun with; "
                              "with a larger --steps or --minutes a finished one, too: the "
                              "learning rate, which has decayed to 0, then rises to what it is at "
                              "this step in a training of the new length, and decays again")
    command.add_argument("--save-every", type=positive, default=60.0, metavar="SECONDS",
                         help="between checkpoints (%(default)s)")
    command.add_argument("--recipe", choices=list(settings.RECIPES),
                         help="see above (best)")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--steps", type=integer_at_least(1),
                        help="training steps, with --resume the total")
    length.add_argument("--minutes", type=positive,
                        help="train for so long, in place of --steps; with --resume the total")
    command.add_argument("--batch", type=integer_at_least(1), help="items for each step")
    command.add_argument("--optimiser", choices=settings.OPTIMISERS,
                         help="adam, or muon for the matrices of hidden layers")
    command.add_argument("--learning-rate", "--rate", type=positive, help="its peak")
    command.add_argument("--schedule", metavar="NAME",
                         help=f"{', '.join(settings.SCHEDULES)}; or a .npy or .csv file of your "
                              f"own betas")
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


def add_sample(group: Any) -> None:
    command = add_command(group, "sample", commands.sample, "draw samples from a run",
                          "Draw samples from a run folder.")
    command.add_argument("--n", type=integer_at_least(1), default=64, help="how many (%(default)s)")
    command.add_argument("--out", metavar="FILE.npy",
                         help="a .png is written beside it (RUN/samples.npy, or samples.npy)")
    command.add_argument("--force", action="store_true", help="replace --out if it exists")
    command.add_argument("--steps", type=integer_at_least(1),
                         help="DDIM with so many steps, in place of Algorithm 2")
    command.add_argument("--eta", type=float, help="DDIM's share of fresh noise, 0 (default) to 1")


def add_elbo(group: Any) -> None:
    command = add_command(group, "elbo", commands.print_elbo,
                          "print the ledger of a run's held-out data",
                          "Print the ELBO of held-out data, term by term.")
    command.add_argument("--n", type=integer_at_least(2), default=200,
                         help="items at the most (%(default)s)")
    command.add_argument("--times", type=integer_at_least(2), metavar="K",
                         help="evaluate the denoiser K times for each item, an even number, in "
                              "place of T times: for many items, --n 10000 --times 20")
    command.add_argument("--data", metavar="FILE",
                         help="data of the run's kind, as for train (the run's held-out data)")
    command.add_argument("--variance", choices=settings.VARIANCES,
                         help="of the reverse steps (the run's); learned takes a run that has it")
    command.add_argument("--out", metavar="FILE.json", help="write the numbers there, too")
    command.add_argument("--force", action="store_true", help="replace --out if it exists")


def refuse_unknown(arguments: argparse.Namespace, unknown: list[str]) -> None:
    """End with the usage of the command, and the likely meaning of a word without its option."""
    word = unknown[0]
    option = None if word.startswith("-") else likely_option(arguments.do, word)
    question = f": did you mean {option} {word}?" if option else ""
    arguments.command.error(f"unrecognized arguments: {' '.join(unknown)}{question}")


def likely_option(do: Callable, word: str) -> str | None:
    """The option that takes such a word, as "--data" for "moons"."""
    if do is commands.train:
        return "--resume" if (Path(word) / "settings.json").exists() else "--data"
    if do is commands.show:
        return None
    if word.isdecimal():
        return "--n"
    if Path(word).suffix == (".npy" if do is commands.sample else ".json"):
        return "--out"
    return "--data" if do is commands.print_elbo else None


@one_sentence_for_mistakes()
def main(argv: list[str] | None = None) -> None:
    """Run the command; an error ends it with one sentence on stderr and exit code 2.

    argv: the arguments; None: those of the process, whose memory is then set for the command.
    """
    if argv is None:
        keep_freed_memory()
    top = parser()
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        refuse_unknown(arguments, unknown)
    # Options before the command, as in `--out X train`, would be silently ignored.
    of_main_job = {"quick": False, "main_out": top.get_default("main_out"),
                   "main_data": top.get_default("main_data")}
    has_command = arguments.do is not main_job
    is_changed = any(getattr(arguments, name) != value for name, value in of_main_job.items())
    if has_command and is_changed:
        top.error("--quick, --out and --data before a command belong to the main job: "
                  "give --out and --data after the command")
    trained = arguments.resume or arguments.out if arguments.do is commands.train else None
    with one_sentence_for_mistakes(resume=trained):
        arguments.do(arguments)
