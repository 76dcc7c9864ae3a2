"""Which law finds which bug?

    python demos/kill_matrix.py            # every bug of the museum against every law
    python demos/kill_matrix.py --play     # one bug: which law does it break?

writes kill_matrix.png, kill_matrix.csv and report.json to --out.  A row is a bug and a column a
law; a bug with one mark is caught by that law alone.  A hollow mark is the verdict round-off.
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
from exhibits import EXHIBITS, OUR_EXHIBITS
from loader import PLAIN, implementation, judge

laws = cache(judge.all_laws)


# %% The matrix.

MARKS = {judge.BROKEN: 2, judge.ROUND_OFF: 1}


def row(exhibit, examples):
    """The laws' marks for the exhibit: 2 broken, 1 round-off, 0 neither."""
    ddpm = implementation(exhibit)
    verdicts = [judge.judge(law, ddpm, examples, shrink=False) for law in laws().values()]
    return [MARKS.get(verdict.kind, 0) for verdict in verdicts]


def usual(marks, exhibits):
    """Round-off that the plain implementation has without any bug is no mark."""
    plain = np.array([exhibit.file == PLAIN for exhibit in exhibits])
    return np.where((marks == 1) & plain[:, None], 0, marks)


def matrix(examples, exhibits):
    """The marks of each exhibit and law, (exhibits, laws), and the laws' names.

    The processes run side by side, one for each core.
    """
    with ProcessPoolExecutor() as pool:
        rows = pool.map(row, exhibits, repeat(examples))
        marks = np.array(list(tqdm(rows, "exhibits", total=len(exhibits))))
    return usual(marks, exhibits), list(laws())


def words(name):
    return name.removeprefix("test_").replace("_", " ")


def draw(marks, rows, columns):
    """The matrix: one mark for each law that catches a bug, black if no other law does."""
    from matplotlib.figure import Figure

    size = (0.17 * len(columns) + 4, 0.16 * len(rows) + 5)
    figure = Figure(figsize=size, layout="constrained", dpi=90)
    ax = figure.subplots()
    alone = (marks > 0).sum(1) == 1
    for bugs, colour in ((~alone, plot.MODEL), (alone, plot.EXACT)):
        y, x = np.nonzero((marks == 2) & bugs[:, None])
        ax.scatter(x, y, marker="s", s=24, color=colour, linewidths=0)
    y, x = np.nonzero(marks == 1)
    ax.scatter(x, y, marker="s", s=20, facecolors="none", edgecolors=plot.MODEL, linewidths=0.8)
    ax.set_xticks(range(len(columns)), map(words, columns), rotation=90, fontsize=6)
    ax.set_yticks(range(len(rows)), map(words, rows), fontsize=6)
    ax.set(xlim=(-0.7, len(columns) - 0.3), ylim=(len(rows) - 0.3, -0.7))
    ax.grid(color="#eeeeee", linewidth=0.5)
    ax.set_axisbelow(True)
    title = ("which law (column) catches which bug (row); black: caught by that law alone; "
             "hollow: round-off")
    ax.set_title(title, fontsize=9)
    return figure


def save(out, seed, examples, exhibits):
    """Writes the picture, the table and the report, and prints the numbers of the report."""
    out.mkdir(parents=True, exist_ok=True)
    marks, columns = matrix(examples, exhibits)
    rows, caught = [exhibit.name for exhibit in exhibits], marks > 0
    draw(marks, rows, columns).savefig(out / "kill_matrix.png")
    with open(out / "kill_matrix.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["bug", *columns])
        for name, own in zip(rows, marks):
            writer.writerow([name, *map(int, own)])
    uncaught = [name for name, own in zip(rows, caught) if not own.any()]
    idle = [law for law, own in zip(columns, caught.T) if not own.any()]
    alone = {name: columns[int(own.argmax())] for name, own in zip(rows, caught) if own.sum() == 1}
    write_json(out / "report.json", {
        "seed": seed, "examples": examples, "bugs": len(rows), "laws": len(columns),
        "bugs_that_no_law_catches": uncaught, "laws_that_catch_no_bug": idle,
        "caught_by_one_law_alone": alone})
    print(f"{len(rows)} bugs, {len(columns)} laws; bugs that no law catches: {len(uncaught)}; "
          f"laws that catch no bug: {len(idle)}; bugs that one law alone catches: {len(alone)}")
    print(f"{out}: kill_matrix.png, kill_matrix.csv, report.json")


# %% The game.

BETA, T = np.array([0.1, 0.2, 0.3, 0.4]), 3
X, EPS, Z = np.array([[0.5, -1.0]]), np.array([[1.0, -0.5]]), np.array([[0.3, 0.7]])
LEVELS = 2 * np.array([[0], [128], [255]]) / 255 - 1
VIEWS = {
    "ᾱ": lambda d: d.alpha_bar(BETA),
    "log SNR": lambda d: d.log_snr(BETA),
    "linear β, T = 50": lambda d: d.linear_beta(50)[:3],
    "cosine β, T = 4": lambda d: d.cosine_schedule(4)[0],
    "q(x_3|x_2)": lambda d: d.q_step(BETA, X, T),
    "q(x_3|x_0)": lambda d: d.q_marginal(BETA, X, T),
    "q(x_3|x_1)": lambda d: d.q_transition(BETA, X, 1, T),
    "x_3 from x_0, ε": lambda d: d.q_sample(BETA, X, T, EPS),
    "q(x_2|x_3,x_0)": lambda d: d.q_posterior(BETA, EPS, X, T),
    "q(x_0|x_1,x_0)": lambda d: d.q_posterior(BETA, EPS, X, 1),
    "x_0 from ε": lambda d: d.x_0_from_eps(BETA, X, EPS, T),
    "ε from x_0": lambda d: d.eps_from_x_0(BETA, X, EPS, T),
    "v from ε": lambda d: d.v_from_eps(BETA, X, EPS, T),
    "score from ε": lambda d: d.score_from_eps(BETA, X, EPS, T),
    "p(x_2|x_3), β̃": lambda d: d.p_step(BETA, X, T, EPS, "beta_tilde"),
    "p(x_2|x_3), clipped": lambda d: d.p_step(BETA, X, T, EPS, "beta", clip=(-0.1, 0.1)),
    "x_2 sampled": lambda d: d.sampler_step(BETA, X, T, EPS, Z, "beta"),
    "x_0 sampled": lambda d: d.sampler_step(BETA, X, 1, EPS, Z, "beta"),
    "DDIM from 3 to 1": lambda d: d.ddim_step(BETA, X, T, 1, EPS, 0.5, Z),
    "KL": lambda d: d.kl(X, 1 + 0 * X, EPS, 2 + 0 * X),
    "L_T": lambda d: d.prior_term(BETA, X),
    "L_2": lambda d: d.step_term(BETA, X, T, EPS, Z, "beta"),
    "bits/dim": lambda d: d.bits_per_dim(8.0, 2),
    "weights": lambda d: d.simple_weights(BETA, "beta"),
    "density": lambda d: d.continuous_log_prob(X, EPS, np.full((1, 2), 0.3)),
    "levels 0, 128, 255": lambda d: d.decoder_log_prob(
        LEVELS, np.zeros((3, 1)), np.full((3, 1), 0.04)),
    "L_simple": lambda d: d.simple_loss(BETA, lambda x, t: 0 * x, X, np.array([T]), EPS),
    "12 times of 1…4": lambda d: d.draw_times(np.random.default_rng(0), 4, 12),
    "learned variance": lambda d: d.learned_variance(BETA, X, T, 0.5 + 0 * X),
    "average": lambda d: d.ema_update(X, EPS, 0.9),
    "e(3)": lambda d: d.time_embedding(np.array([3]), 4)}


def shown(view, ddpm):
    """The numbers of a view of an implementation, as text."""
    try:
        value = view(ddpm)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    parts = value if isinstance(value, tuple) else (value,)
    numbers = np.concatenate([np.ravel(part) for part in parts])
    return np.array2string(numbers, precision=4, max_line_width=200)


def show_differences(right, wrong):
    """Prints the views in which two implementations differ."""
    differ = False
    for name, view in VIEWS.items():
        ours, theirs = shown(view, right), shown(view, wrong)
        if ours != theirs:
            print(f"  {name:20} ours {ours}\n  {'':20} this {theirs}")
            differ = True
    if not differ:
        print("  nowhere in these few numbers: it takes a law to see it")


def choose(exhibit, wrong, every, rng):
    """Four laws in random order: the exhibit's law, and three that it does not break."""
    choices = [exhibit.law]
    for name in rng.permutation(list(every)):
        obeyed = judge.judge(every[name], wrong, shrink=False).kind == judge.HOLDS
        if len(choices) < 4 and name != exhibit.law and obeyed:
            choices.append(str(name))
    return list(rng.permutation(choices))


def play(seed):
    """Shows an exhibit's numbers beside ours, and asks for the law it breaks."""
    rng, every = np.random.default_rng(seed), laws()
    exhibit = OUR_EXHIBITS[rng.integers(len(OUR_EXHIBITS))]
    wrong, right = implementation(exhibit), implementation()
    print("An implementation with one wrong line.  β = .1, .2, .3, .4.  It differs from ours in:\n")
    show_differences(right, wrong)
    choices = choose(exhibit, wrong, every, rng)
    print("\nWhich law does it break?\n")
    for i, name in enumerate(choices, 1):
        print(f"  {i}  {words(name)}\n       {every[name].__doc__.strip().splitlines()[0]}")
    correct = str(choices.index(exhibit.law) + 1)
    print("\nnumber: ", end="", flush=True)
    answer = sys.stdin.readline().strip()
    print(f"\n{'Yes' if answer == correct else 'It is ' + correct}: {exhibit.law}")
    where = f"{exhibit.file}, {exhibit.inside}" if exhibit.inside else exhibit.file
    print(f"  in {where}\n{indented(exhibit.right)}\n  became\n{indented(exhibit.wrong)}\n"
          f"  seen: {exhibit.seen}\n  {exhibit.lesson}")


def indented(code):
    return "\n".join(f"    {line}" for line in code.splitlines())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("kill-matrix-out"))
    parser.add_argument("--seed", type=integer_at_least(0), default=0,
                        help="of the game's choice (%(default)s)")
    parser.add_argument("--examples", type=float, default=0.3,
                        help="a factor on the draws of each law (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="two exhibits only")
    parser.add_argument("--play", action="store_true", help="guess the law that an exhibit breaks")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        if arguments.play:
            play(arguments.seed)
        elif arguments.quick:
            save(arguments.out, arguments.seed, 0.1, EXHIBITS[:2])
        else:
            save(arguments.out, arguments.seed, arguments.examples, EXHIBITS)
