"""Can the bound be a file: how many bytes do digits take, and do they come back?

    python demos/file_size.py                      # --n 200 held-out digits; --data FILE: others
    python demos/file_size.py --decode file_size-out/digits.tinyddpm

Digits become a file by free-energy coding with the chain as latents (coder.py), and another
process reads them back, bit for bit.  The chain has 300 of the run's 1000 times.  The file's bits,
beside the ELBO's first form on the same paths, say what the coder costs.  The initial bits, about
one digit's worth, are counted apart: they could carry other data.  PNG, WebP, gzip, bz2 and xz
pack the same digits, each by itself and all as one.  Writes digits.tinyddpm, file_size.png and
report.json.
"""
# %%
import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import add_digit_run, demo_parser, digit_run, finish, run_demo, spread_times

from tinyddpm.app import data, files, plot
from tinyddpm.app.console import integer_at_least, progress_over, write_picture
from tinyddpm.app.readers import read_file
from tinyddpm.images.variance import fraction_from_variance
from tinyddpm.reverse import interpolated_variance
from tinyddpm.schedule import respace

FILE = "digits.tinyddpm"


# %% The model: a respaced chain with a variance for each pixel.
def model_of(run, steps):
    """The run as a `coder.Model` of so many steps.

    The denoiser's fraction gives the run's σ_t² = β̃_t + coef_x_0²·Var(x_0 | x_t).  The short chain
    has another β̃ and another coef_x_0, and the same Var(x_0 | x_t).
    """
    from coder import Model

    schedule, times = respace(run.schedule, spread_times(1, run.schedule.T, steps))
    if run.settings["variance"] != "learned":
        return Model(schedule, lambda x, i: run.denoiser(x, times[i - 1]),
                     run.settings["variance"], run.clip)

    def denoiser(x, i):
        t = times[i - 1]
        eps, fraction = run.denoiser(x, t)
        if t == 1:
            return eps, np.ones_like(fraction)
        var = interpolated_variance(run.schedule, x, t, fraction)
        of_x_0 = (var - run.schedule.beta_tilde[t]) / run.schedule.coef_x_0[t] ** 2
        return eps, fraction_from_variance(schedule, np.maximum(of_x_0, 0), i)
    return Model(schedule, denoiser, "learned", run.clip)


def fingerprint(run, steps):
    """A checksum of everything that the denoiser's output depends on."""
    from coder import GRID, P_WINDOW, Q_WINDOW, sha256

    settings = json.dumps([run.settings, steps, GRID, P_WINDOW, Q_WINDOW])
    histograms = b"" if run.table is None else b"".join(part.tobytes()
                                                         for part in run.table.histograms)
    return sha256(settings.encode() + run.state.ema.tobytes() + histograms)


# %% What other packers make of the same digits.
def picture_bytes(image, form, **options):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    return len(file.getvalue())


PACKERS = {
    "gzip": lambda images: len(gzip.compress(images.tobytes(), 9)),
    "bz2": lambda images: len(bz2.compress(images.tobytes(), 9)),
    "xz": lambda images: len(lzma.compress(images.tobytes(), preset=9 | lzma.PRESET_EXTREME)),
    "PNG": lambda images: picture_bytes(images.reshape(-1, 28), "png", optimize=True),
    "WebP": lambda images: picture_bytes(images.reshape(-1, 28), "webp", lossless=True, quality=100,
                                         method=6),
}
TALLEST = 16_000 // 28  # digits of one picture: WebP's sides have at most 16,383 pixels


def by_packers(digits):
    """Bits per pixel: {packer: (each digit by itself, all as one)}."""
    table = {}
    for name, size in PACKERS.items():
        at_once = TALLEST if name == "WebP" else len(digits)
        parts = [digits[start:start + at_once] for start in range(0, len(digits), at_once)]
        single = sum(size(digit[None]) for digit in digits)
        table[name] = 8 * single / digits.size, 8 * sum(map(size, parts)) / digits.size
    return table


# %% The picture.
def draw(table, own, first_form, sent, digits):
    figure, (bars, along) = plot.new_figure(2, 5.2, 4.2)
    names = [*table, "tinyddpm"]
    alone, together = [[pair[i] for pair in table.values()] for i in range(2)]
    places = np.arange(len(names))
    bars.barh(places[:-1] - 0.2, alone, 0.38, color=plot.FAINT, label="each digit by itself")
    bars.barh(places[:-1] + 0.2, together, 0.38, color=plot.DATA, label="all digits as one file")
    bars.barh(places[-1], own, 0.6, color=plot.MODEL)
    bars.axvline(first_form, color=plot.EXACT, linewidth=1, linestyle=":")
    bars.text(own, places[-1], f" {own:.3f}; dotted: the bound", va="center", fontsize=9)
    bars.set_yticks(places, names)
    bars.invert_yaxis()
    bars.set_title("Bits per pixel, lossless", loc="left", fontsize=11)
    figure.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=2)

    pushed = sum(batch.pushed for batch in sent) / digits.size
    popped = sum(batch.popped for batch in sent) / digits.size
    t = np.arange(1, len(pushed))
    height = pushed[:-1].cumsum() - popped[1:].cumsum()  # after x_t is popped and x_{t−1} pushed
    along.plot(t, height, color=plot.MODEL)
    along.plot([t[-1], t[-1]], [height[-1], own], color=plot.MODEL)
    along.annotate(f"at last $x_T$ is pushed: {own:.2f} remain", (t[-1], own), (0.97, 0.93),
                   textcoords="axes fraction", ha="right", fontsize=9)
    along.axhline(0, color=plot.EXACT, linewidth=0.5)
    along.set(xlabel="t: $x_t$ popped and $x_{t-1}$ pushed", ylabel="bits per pixel on the stack",
              ylim=(None, 2.5))
    along.set_title("The noise $x_1 … x_T$ is borrowed from the stack\nand paid back, but for "
                    "the bound", loc="left", fontsize=11)
    return figure


# %%
def read_back(path, out, run, quick):
    """Decode a file in a process of its own; the digits that it wrote."""
    command = [sys.executable, __file__, "--decode", path, "--out", out] + ["--quick"] * quick
    if run is not None:
        command += ["--run", run]
    done = subprocess.run(command)
    if done.returncode:
        raise ValueError(f"the second process could not decode {path}")
    return np.load(out / "digits.npy")


def main(out, seed, quick, run, n, steps, data_file, decode):
    try:
        import coder
    except ImportError:
        raise ValueError("file_size needs constriction, an entropy coder: "
                         "pip install 'tinyddpm[coder]'") from None

    where, run = run, digit_run(run, seed, quick)
    if decode is not None:
        content = read_file(decode, lambda file: file.read(), "coded digits")
        steps = coder.check_header(content.partition(b"\n")[0])["steps"]
        model, mark = model_of(run, steps), fingerprint(run, steps)
        digits = coder.decode(model, content, run.decode, mark, progress_over("decoding"))
        files.replace(out / "digits.npy", lambda file: np.save(file, digits))
        print(f"{out / 'digits.npy'}: {digits.dtype} {digits.shape}")
        return
    if quick:
        n, steps = 3, 5
    rng = np.random.default_rng(seed)
    digits = (run.held_out if data_file is None else data.load(data_file))[:n]
    model, mark = model_of(run, steps), fingerprint(run, steps)

    # %% To a file, and back in another process.
    content, sent = coder.encode(model, digits, run.encode, mark, rng,
                                 progress_over("coding"))
    files.replace(out / FILE, lambda file: file.write(content))
    returned = read_back(out / FILE, out, where, quick)
    same = np.array_equal(returned, digits) and returned.dtype == digits.dtype

    # %% Its size.
    net = sum((batch.pushed - batch.popped).sum() for batch in sent) / digits.size
    bound = sum(batch.bound for batch in sent) / digits.size
    initial = coder.check_header(content.partition(b"\n")[0])["initial_words"]
    header = len(content.partition(b"\n")[0]) + 1
    table = by_packers(digits)
    print(f"\n{len(digits)} digits, {len(content)} bytes: header {header}, initial bits "
          f"{4 * initial}\n")
    print(f"{'bits per pixel':16}{'each by itself':>16}{'all as one':>12}")
    for name, (alone, together) in table.items():
        print(f"{name:16}{alone:16.3f}{together:12.3f}")
    print(f"{'tinyddpm':16}{'':16}{net:12.4f}   without initial bits and header\n"
          f"{'first form':16}{'':16}{bound:12.4f}   on the same paths")
    write_picture(out / "file_size.png", draw(table, net, bound, sent, digits))
    best = min(together for _, together in table.values())
    answer = (f"Yes: {len(digits)} digits become {net:.3f} bits per pixel and come back bit for "
              f"bit; the ELBO's first form says {bound:.3f} on the same paths.  The best general "
              f"packer takes {best:.3f}.")
    if not same:
        raise ValueError("the digits that came back differ from those that were sent")
    finish(out, answer, seed, digits=len(digits), bytes=len(content), header_bytes=header,
           initial_bytes=4 * initial, bits_per_pixel=net, first_form_bits_per_pixel=bound,
           packers=table)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "file_size-out")
    parser.add_argument("--n", type=integer_at_least(1), default=200, help="digits (%(default)s)")
    parser.add_argument("--steps", type=integer_at_least(1), default=300,
                        help="of the chain (%(default)s)")
    parser.add_argument("--data", dest="data_file", metavar="FILE",
                        help="other digits, uint8 (N, 28, 28), .npy (the run's held-out digits)")
    parser.add_argument("--decode", type=Path, metavar="FILE",
                        help="read the digits of such a file, and write digits.npy")
    add_digit_run(parser)
    run_demo(main, parser)
