"""Which law finds which bug?

    python demos/kill_matrix.py            # every exhibit of the museum before every law: a picture and a table
    python demos/kill_matrix.py --play     # one exhibit: its output beside the right one; which law does it break?

writes kill_matrix.png, kill_matrix.csv and report.json to --out.  A row is a bug, a column a law; a bug with one
mark is seen by that law alone.
"""
# %%
import argparse
import csv
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinyddpm.app import plot
from tinyddpm.app.console import integer_at_least, one_sentence_for_mistakes, write_json

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "museum"))
from exhibits import EXHIBITS
from loader import broken_by, implementation, laws


def row(exhibit, examples):
    """Which laws see the exhibit, in their order."""
    ddpm = implementation(exhibit)
    return [broken_by(law, ddpm) for law in cached_laws(examples).values()]


cached_laws = cache(laws)


def matrix(examples, exhibits):
    """(exhibits, laws) of booleans, and the laws' names; each core has a process."""
    with ProcessPoolExecutor() as pool:
        kills = list(tqdm(pool.map(row, exhibits, repeat(examples)), "exhibits", total=len(exhibits)))
    return np.array(kills), list(laws(examples))


def draw(kills, rows, columns):
    """The matrix: marks in the model's colour, those of a bug that one law alone sees in black."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.17 * len(columns) + 4, 0.16 * len(rows) + 5), layout="constrained", dpi=90)
    ax = figure.subplots()
    alone = kills.sum(1) == 1
    for mask, colour in ((~alone, plot.MODEL), (alone, plot.EXACT)):
        y, x = np.nonzero(kills & mask[:, None])
        ax.scatter(x, y, marker="s", s=24, color=colour, linewidths=0)
    ax.set_xticks(range(len(columns)), [name.removeprefix("test_").replace("_", " ") for name in columns], rotation=90, fontsize=6)
    ax.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rows], fontsize=6)
    ax.set(xlim=(-0.7, len(columns) - 0.3), ylim=(len(rows) - 0.3, -0.7))
    ax.grid(color="#eeeeee", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_title("which law (column) finds which bug (row); black: seen by that law alone", fontsize=9)
    return figure


BETA, X, EPS, Z, T = np.array([0.1, 0.2, 0.3, 0.4]), np.array([[0.5, -1.0]]), np.array([[1.0, -0.5]]), np.array([[0.3, 0.7]]), 3
VIEWS = {
    "ᾱ": lambda d: d.alpha_bar(BETA), "log SNR": lambda d: d.log_snr(BETA), "linear β, T = 50": lambda d: d.linear_beta(50)[:3],
    "cosine β, T = 4": lambda d: d.cosine_schedule(4)[0], "q(x_3|x_2)": lambda d: d.q_step(BETA, X, T),
    "q(x_3|x_0)": lambda d: d.q_marginal(BETA, X, T), "q(x_3|x_1)": lambda d: d.q_transition(BETA, X, 1, T),
    "x_3 from x_0, ε": lambda d: d.q_sample(BETA, X, T, EPS), "q(x_2|x_3,x_0)": lambda d: d.q_posterior(BETA, EPS, X, T),
    "q(x_0|x_1,x_0)": lambda d: d.q_posterior(BETA, EPS, X, 1), "x_0 from ε": lambda d: d.x_0_from_eps(BETA, X, EPS, T),
    "ε from x_0": lambda d: d.eps_from_x_0(BETA, X, EPS, T), "v from ε": lambda d: d.v_from_eps(BETA, X, EPS, T),
    "score from ε": lambda d: d.score_from_eps(BETA, X, EPS, T), "p(x_2|x_3), β̃": lambda d: d.p_step(BETA, X, T, EPS, "beta_tilde"),
    "p(x_2|x_3), clipped": lambda d: d.p_step(BETA, X, T, EPS, "beta", clip=(-0.1, 0.1)),
    "x_2 sampled": lambda d: d.sampler_step(BETA, X, T, EPS, Z, "beta"), "x_0 sampled": lambda d: d.sampler_step(BETA, X, 1, EPS, Z, "beta"),
    "DDIM from 3 to 1": lambda d: d.ddim_step(BETA, X, T, 1, EPS, 0.5, Z), "KL": lambda d: d.kl(X, 1 + 0 * X, EPS, 2 + 0 * X),
    "L_T": lambda d: d.prior_term(BETA, X), "L_2": lambda d: d.step_term(BETA, X, T, EPS, Z, "beta"), "bits/dim": lambda d: d.bits_per_dim(8.0, 2),
    "weights": lambda d: d.simple_weights(BETA, "beta"), "density": lambda d: d.continuous_log_prob(X, EPS, np.full((1, 2), 0.3)),
    "levels 0, 128, 255": lambda d: d.decoder_log_prob(2 * np.array([[0], [128], [255]]) / 255 - 1, np.zeros((3, 1)), np.full((3, 1), 0.04)),
    "L_simple": lambda d: d.simple_loss(BETA, lambda x, t: 0 * x, X, np.array([T]), EPS), "12 times of 1…4": lambda d: d.draw_times(np.random.default_rng(0), 4, 12),
    "learned variance": lambda d: d.learned_variance(BETA, X, T, 0.5 + 0 * X), "average": lambda d: d.ema_update(X, EPS, 0.9),
    "e(3)": lambda d: d.time_embedding(np.array([3]), 4)}


def seen(view, ddpm):
    """What a view shows of an implementation, as text."""
    try:
        value = view(ddpm)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    parts = value if isinstance(value, tuple) else (value,)
    return np.array2string(np.concatenate([np.ravel(part) for part in parts]), precision=4, max_line_width=200)


def play(seed):
    """Show an exhibit's numbers beside ours, and ask for the law it breaks."""
    rng, every = np.random.default_rng(seed), laws()
    exhibit = EXHIBITS[rng.integers(len(EXHIBITS))]
    wrong, right = implementation(exhibit), implementation()
    print("An implementation with one wrong line.  β = .1, .2, .3, .4.  Where it differs from ours:\n")
    differences = [(name, seen(view, right), seen(view, wrong)) for name, view in VIEWS.items()]
    for name, ours, theirs in [row for row in differences if row[1] != row[2]] or [("nowhere", "in these few numbers", "it takes a law to see it")]:
        print(f"  {name:20} ours {ours}\n  {'':20} this {theirs}")
    kept = (name for name in rng.permutation(list(every)) if name != exhibit.law and not broken_by(every[name], wrong))
    choices = list(rng.permutation([exhibit.law, *(str(next(kept)) for _ in range(3))]))
    print("\nWhich law does it break?\n")
    for i, name in enumerate(choices, 1):
        print(f"  {i}  {name.removeprefix('test_').replace('_', ' ')}\n       {every[name].__doc__.strip().splitlines()[0]}")
    correct = str(choices.index(exhibit.law) + 1)
    print("\nnumber: ", end="", flush=True)
    answer = sys.stdin.readline().strip()
    print(f"\n{'Yes' if answer == correct else 'It is ' + correct}: {exhibit.law}\n  in {exhibit.file}\n    {exhibit.right.strip()}"
          f"\n  became\n    {exhibit.wrong.strip()}\n  seen: {exhibit.seen}\n  {exhibit.lesson}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("kill-matrix-out"))
    parser.add_argument("--seed", type=integer_at_least(0), default=0, help="of the game's choice (%(default)s)")
    parser.add_argument("--examples", type=integer_at_least(1), default=4, help="drawn for each law (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few exhibits only")
    parser.add_argument("--play", action="store_true", help="guess the law that an exhibit breaks")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        if arguments.play:
            play(arguments.seed)
            sys.exit()
        arguments.out.mkdir(parents=True, exist_ok=True)
        exhibits = EXHIBITS[:2] if arguments.quick else EXHIBITS
        kills, columns = matrix(2 if arguments.quick else arguments.examples, exhibits)
        rows = [exhibit.name for exhibit in exhibits]
        draw(kills, rows, columns).savefig(arguments.out / "kill_matrix.png")
        with open(arguments.out / "kill_matrix.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["bug", *columns], *([row, *map(int, marks)] for row, marks in zip(rows, kills))])
        lonely = {row: columns[int(marks.argmax())] for row, marks in zip(rows, kills) if marks.sum() == 1}
        unseen = [row for row, marks in zip(rows, kills) if not marks.any()]
        idle = [column for column, marks in zip(columns, kills.T) if not marks.any()]
        write_json(arguments.out / "report.json", {
            "seed": arguments.seed, "examples": arguments.examples, "bugs": len(rows), "laws": len(columns),
            "bugs_no_law_sees": unseen, "laws_that_see_no_bug": idle, "seen_by_one_law_alone": lonely})
        print(f"{len(rows)} bugs, {len(columns)} laws; bugs that no law sees: {len(unseen)}; laws that see no bug: {len(idle)}; "
              f"bugs that one law alone sees: {len(lonely)}\n{arguments.out}: kill_matrix.png, kill_matrix.csv, report.json")
