"""What happens to one point and to one digit as t moves?

    python demos/explore.py

Writes explore.html, one page for any browser that needs no network: the reader moves t, and drags
x_0 and x_t in the plane.  Six panels follow, each with its formula: q(x_t | x_0), the posterior
q(x_{t−1} | x_t, x_0), the score, the guess x̂_0, the running sum of the ELBO's terms, and a reverse
chain that goes back step by step.
Nothing is trained.  The points are a mixture of Gaussians, so E[x_0 | x_t] is known; for the
digits it is that of a finite data set, 2,000 training digits.  Python computes the numbers; the
page adds them with the schedule's coefficients, draws them, and interpolates E[x_0 | x_t] in the
plane between the points of a lattice.
Also writes explore.png, the score at four t, and report.json.
"""
# %%
import base64
import json
import unicodedata
from pathlib import Path

import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import FiniteData, ancestral_sampling, cosine, diffuse, ledger, mnist, toy
from tinyddpm.app import files, plot
from tinyddpm.app.console import progress_over, write_picture
from tinyddpm.decoder import from_levels, level_log_prob
from tinyddpm.oracle import terms_from_error
from tinyddpm.reverse import score_from_eps, x_0_from_eps

PAGE = Path(__file__).with_name("explore_page.html")  # its layout and its JavaScript
SIDE = 3.2  # the planes show −SIDE…SIDE
LARGEST_EPS = 2.5  # |ε| of the x_t that can be chosen: then every x_t is in the plane
LABELS = 7, 3, 5  # of the three digits
VARIANCES = "beta", "beta_tilde"


# %% Formulas: a few words of LaTeX's kind, as MathML.
ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "¯"}  # x̂, μ̃, ᾱ


def atom(text):
    """A name, a number or an operator."""
    if text == "‖":
        return '<mo stretchy="false">‖</mo>'
    tag = "mi" if text.isalpha() else "mn" if text.isdigit() else "mo"
    space = '<mspace width="0.17em"/>' if text in ("log", "KL", "E") else ""
    return f"<{tag}>{text}</{tag}>{space}"


def symbol(text):
    """One symbol: a name, perhaps with an accent, a subscript and a square, as in "x̂_t−1"."""
    if text.startswith("<"):
        return text  # it is MathML
    base, _, index = unicodedata.normalize("NFD", text).partition("_")
    accent = ACCENTS.get(base[-1])
    html = atom(base)
    if accent:
        html = f'<mover accent="true">{atom(base[:-1])}<mo stretchy="false">{accent}</mo></mover>'
    if not index:
        return html
    below = "".join(map(atom, index.rstrip("²")))
    if index.endswith("²"):
        return f"<msubsup>{html}<mrow>{below}</mrow><mn>2</mn></msubsup>"
    return f"<msub>{html}<mrow>{below}</mrow></msub>"


def row(*parts):
    """Symbols, separated by spaces, between parts that are MathML already."""
    symbols = [word for part in parts for word in ([part] if part[0] == "<" else part.split())]
    return f"<mrow>{''.join(map(symbol, symbols))}</mrow>"


def root(*parts):
    return f"<msqrt>{row(*parts)}</msqrt>"


def fraction(above, below):
    return f"<mfrac>{row(above)}{row(below)}</mfrac>"


SIGNAL, NOISE = root("ᾱ_t"), root("1 − ᾱ_t")
POSTERIOR = "q ( x_t−1 | x_t , x_0 )"
GUESSED_NOISE = "E [ ε | x_t ]"
FORMULAS = {
    "marginal": [row("q ( x_t | x_0 ) = 𝒩 (", SIGNAL, "x_0 , ( 1 − ᾱ_t ) I )"),
                 row("x_t =", SIGNAL, "x_0 +", NOISE, "ε")],
    "posterior": [row(POSTERIOR, "= 𝒩 ( μ̃_t , β̃_t I )"),
                  row("μ̃_t =", fraction(row(root("ᾱ_t−1"), "β_t x_0 +", root("α_t"),
                                            "( 1 − ᾱ_t−1 ) x_t"), "1 − ᾱ_t")),
                  row("β̃_t =", fraction("β_t ( 1 − ᾱ_t−1 )", "1 − ᾱ_t"))],
    "score": [row("∇ log q ( x_t ) = −", fraction(GUESSED_NOISE, NOISE),
                  "=", fraction(row(SIGNAL, "x̂_0 − x_t"), "1 − ᾱ_t"))],
    "guess": [row("x̂_0 = E [ x_0 | x_t ] =",
                  fraction(row("x_t −", NOISE, GUESSED_NOISE), SIGNAL))],
    "ledger": [row("−ELBO = L_T +",
                   f"<munderover><mo>∑</mo>{row('t = 2')}<mi>T</mi></munderover>",
                   "L_t−1 + L_0"),
               row("L_t−1 = E KL (", POSTERIOR, "‖ p_θ ( x_t−1 | x_t ) )")],
    "chain": [row("x_t−1 = μ_θ + σ_t z"),
              row("μ_θ =", fraction("1", root("α_t")), "( x_t −",
                  fraction("β_t", NOISE), "ε_θ ( x_t , t ) )")],
}


def mathml(rows):
    return "".join(f'<math display="block">{formula}</math>' for formula in rows)


# %% Numbers.
def pack(x, bits=16):
    """An array for the page: low + step·k, and the integers k of 8 or 16 bits as base64."""
    low, high = float(np.min(x)), float(np.max(x))
    step = (high - low) / (2 ** bits - 1)
    k = np.round((np.asarray(x, float) - low) / step).astype(f"<u{bits // 8}")
    return {"shape": x.shape, "bits": bits, "low": low, "step": step,
            "base64": base64.b64encode(k.tobytes()).decode()}


def guess_of(schedule, denoiser):
    """The function (x_t, t) → x̂_0."""
    return lambda x_t, t: x_0_from_eps(schedule, x_t, t, denoiser(x_t, t))


def short_eps(rng, n):
    """n draws of ε in the plane, none longer than LARGEST_EPS."""
    eps = rng.standard_normal((n, 2))
    length = np.linalg.norm(eps, axis=1, keepdims=True)
    return eps * np.minimum(1, LARGEST_EPS / length)


def at_every_t(schedule, function):
    """function(t) for t = 1…T, after a copy of the first, so that entry t belongs to t."""
    values = [function(t) for t in range(1, schedule.T + 1)]
    return np.array([values[0], *values])


def chain_of(schedule, denoiser, x_T, rng):
    """Algorithm 2 with σ_t² = β_t: x_t and x̂_0(x_t) for t = 0…T, each (T + 1, n, …)."""
    x, guess = [x_T], []
    for step in ancestral_sampling(schedule, denoiser, x_T, rng):
        x.append(step.x)
        guess.append(step.x_0)
    guess.append(x[-1])
    return np.array(x[::-1]), np.array(guess[::-1])


def numbers_of_points(schedule, data, rng, lattice, n=250):
    """What the page draws in the plane."""
    denoiser = data.denoiser(schedule)
    guess = guess_of(schedule, denoiser)
    side = np.linspace(-SIDE, SIDE, lattice)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    guesses = at_every_t(schedule, lambda t: guess(plane, t).reshape(lattice, lattice, 2))
    chain, chain_guess = chain_of(schedule, denoiser, rng.standard_normal((n, 2)), rng)
    error = [0, *(data.error(schedule, t) for t in range(1, schedule.T + 1))]
    terms = {name: terms_from_error(schedule, error, 2, 2, name) for name in VARIANCES}
    return {"cloud": pack(data.sample(rng, n)), "eps": pack(short_eps(rng, n)),
            "lattice": pack(guesses), "chain": pack(chain), "chain_guess": pack(chain_guess),
            "ledger": ledger_for_page(terms), "least": data.entropy()}


def numbers_of_digits(schedule, images, labels, rng, n):
    """The same for digits.  n: digits whose ledger is averaged."""
    x_0 = from_levels(images).astype(float)
    denoiser = FiniteData(x_0).denoiser(schedule)
    guess = guess_of(schedule, denoiser)
    chosen = x_0[[int(np.argmax(labels == label)) for label in LABELS]]
    eps = rng.standard_normal((2, 28, 28))
    every_x_0, every_eps = np.repeat(chosen, 2, axis=0), np.tile(eps, (len(LABELS), 1, 1))

    def guesses(t):
        x_t = diffuse(schedule, every_x_0, t, every_eps)
        return guess(x_t, t).reshape(len(LABELS), 2, 28, 28)

    x_T = rng.standard_normal((len(LABELS), 28, 28))
    chain, chain_guess = chain_of(schedule, denoiser, x_T, rng)
    some = rng.choice(x_0, n, replace=False)
    spent = ledger(schedule, denoiser, some, rng, decoder=level_log_prob,
                   progress=progress_over("ledger of digits"))
    square = (some ** 2).sum((1, 2))
    terms = {}
    for name in VARIANCES:
        exact = terms_from_error(schedule, spent.distortion, square, 784, name)
        exact[:, 0] = spent.terms[:, 0]  # 256 grey levels; σ_1² is β_1 by either name
        terms[name] = exact.mean(0)
    return {"x_0": pack(chosen, 8), "eps": pack(eps),
            "guess": pack(at_every_t(schedule, guesses), 8),
            "chain": pack(chain.clip(-1, 1), 8), "chain_guess": pack(chain_guess, 8),
            "ledger": ledger_for_page(terms), "least": float(np.log(len(x_0))),
            "apart": float(np.sqrt(2 * x_0.var(0).sum()))}


def ledger_for_page(terms):
    """For each variance L_0 and the sums L_T + … + L_{t−1}, entry t.  terms: {name: (T + 1,)}."""
    return {name: {"running": [0.0, *np.cumsum(L[::-1])[:0:-1]], "L_0": float(L[0])}
            for name, L in terms.items()}


def tables(schedule):
    """The schedule's tables that the page needs."""
    return {"T": schedule.T, "alpha_bar": schedule.alpha_bar.tolist(),
            "signal": np.sqrt(schedule.alpha_bar).tolist(),
            "noise": np.sqrt(schedule.one_minus_alpha_bar).tolist(),
            "beta": schedule.beta.tolist(), "beta_tilde": schedule.beta_tilde.tolist(),
            "coef_x_0": schedule.coef_x_0.tolist(), "coef_x_t": schedule.coef_x_t.tolist()}


def page(numbers):
    """The HTML file: the layout with its formulas and its numbers."""
    html = PAGE.read_text(encoding="utf-8")
    for name, rows in FORMULAS.items():
        html = html.replace(f"<!-- formula {name} -->", mathml(rows))
    return html.replace("NUMBERS", json.dumps(numbers))


# %% The picture for the gallery.
def draw_scores(schedule, data, rng):
    """The score of q(x_t) at four t, with draws of x_t."""
    figure, axes = plot.new_figure(4, 2.2, 2.6)
    side = np.linspace(-2.6, 2.6, 14)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    x_0 = data.sample(rng, 1000)
    for ax, t in zip(axes, (2, 15, 30, schedule.T)):
        x_t = diffuse(schedule, x_0, t, rng.standard_normal(x_0.shape))
        plot.draw_points(ax, x_t, plot.DATA, f"$t = {t}$", 2.8)
        score = score_from_eps(schedule, plane, t, data.denoiser(schedule)(plane, t))
        arrow = score / np.linalg.norm(score, axis=1, keepdims=True)
        ax.quiver(*plane.T, *arrow.T, color=plot.EXACT, scale=22, width=0.006)
        ax.axis("off")
    figure.suptitle("The score points to where $x_t$ is more probable: at small $t$ to the "
                    "nearest data, at $t = T$ to the centre", x=0.01, ha="left", fontsize=10)
    figure.supxlabel("dots: draws of $x_t$; arrows: the direction of $\\nabla\\log q(x_t)$",
                     x=0.01, ha="left", fontsize=9)
    return figure


def main(out, seed, quick):
    rng, schedule, data, digits = np.random.default_rng(seed), cosine(50), toy("moons"), mnist()
    images, lattice, n = digits.train[:2000], 45, 40
    if quick:
        images, lattice, n = images[:300], 31, 10

    # %% The page.
    points = numbers_of_points(schedule, data, rng, lattice)
    numbers = {"tables": tables(schedule), "side": SIDE, "largest_eps": LARGEST_EPS,
               "count": len(images), "points": points,
               "digits": numbers_of_digits(schedule, images, digits.train_labels, rng, n)}
    content = page(numbers).encode()
    files.replace(out / "explore.html", lambda file: file.write(content))
    write_picture(out / "explore.png", draw_scores(schedule, data, rng))

    # %% What the ledger on the page shows.
    above = {name: points["ledger"][name]["running"][1] - points["least"] for name in VARIANCES}
    spent = {name: numbers["digits"]["ledger"][name]["running"][2] for name in VARIANCES}
    answer = ("explore.html shows it for every t: q(x_t | x_0), the posterior, the score, the "
              "guess x̂_0, the running sum of the ELBO's terms, and a reverse chain.  The picture "
              "has the score at four t: at small t it points to the nearest data, at t = T to the "
              "centre.")
    finish(out, answer, seed, bytes=len(content), nats_above_entropy=above,
           nats_without_L_0_of_digits=spent)


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "explore-out"))
