"""How does a label guide the chain?

    python demos/guidance.py

A denoiser gets ten more channels, which say what digit it is; a text would come in as its embedding, in the same way.  One
time in ten the label is withheld in training: so one network knows both guesses, ε̂_y with the label and ε̂_∅ without, and
sampling may go further than the label alone says (Ho & Salimans 2022, classifier-free guidance, eq 6):
    ε̂ = ε̂_∅ + (1 + w)·(ε̂_y − ε̂_∅)
w = −1 knows no label, w = 0 is the learned q(x_0 | y), and w > 0 exaggerates what the label changes.  The digits are means of
2×2 pixels, 14×14, so that a minute of training is enough.  Writes guidance.png and report.json.
"""
# %%
import numpy as np
from autograd import value_and_grad

from tinyddpm import (FiniteData, as_denoiser, conv_denoiser, cosine, ddim_sampling, marginal, mnist, train,
    v_loss)
from tinyddpm.app import plot
from tinyddpm.app.console import demo_parser, finish, one_sentence_for_mistakes, progress_bar, integer_at_least, write_picture
from tinyddpm.decoder import from_levels, to_images
from tinyddpm.network.weights import unpack
from tinyddpm.network.threads import denoise_in_halves, gradient_in_halves, one_blas_thread

SCHEDULE, NETWORK = cosine(1000), conv_denoiser(1 + 10, outputs=1)


def smaller(images):
    """uint8 (N, 28, 28) → x_0, (N, 14, 14): the means of 2×2 pixels."""
    return from_levels(images).reshape(-1, 14, 2, 14, 2).mean((2, 4))


def beside(x, label):
    """The network's input, (B, 14, 14, 11): pixels, and ten planes; the digit's is one, or none is.  label: (B, 10)."""
    planes = np.broadcast_to(label[:, None, None], (*x.shape, 10))
    return np.concatenate([x[..., None], planes.astype(x.dtype)], -1)


def with_label(network, label):
    """The network, which guesses v, as a denoiser of digits with these labels."""
    return as_denoiser(SCHEDULE, lambda x_t, t: network(beside(x_t, label), t)[..., 0], "v")


def learn(digits, rng, steps):
    """Algorithm 1 on digits beside their labels; one label in ten is withheld, and only pixels are diffused."""
    images, labels = smaller(digits.train), np.eye(10)[digits.train_labels]

    def draw(rng, n):
        rows = rng.integers(len(images), size=n)
        return beside(images[rows], labels[rows] * (rng.random((n, 1)) > 0.1))

    def loss(schedule, network, x_0, t, eps):
        return v_loss(schedule, with_label(network, x_0[:, 0, 0, 1:]), x_0[..., 0], t, eps[..., 0])

    with progress_bar(steps, "learning") as bar, one_blas_thread():
        for step in train(SCHEDULE, NETWORK, draw, rng, steps, 64, loss, learning_rate=4e-3, ema_decay=0.995,
                          differentiate=lambda f: gradient_in_halves(value_and_grad(f))):
            bar.update()
    return step.state.ema


def main(out, seed, quick, steps, scales=(-1, 0, 1, 3), draws=8, length=50):
    digits, rng = mnist(), np.random.default_rng(seed)
    if quick:
        steps, draws, length = 3, 2, 3
    out.mkdir(parents=True, exist_ok=True)
    weights = unpack(learn(digits, rng, steps), NETWORK.layout)

    # %% Draw every digit with every w, in fewer steps than T (DDIM with η = 1 is Algorithm 2 on them).
    w = np.repeat(scales, 10 * draws)[:, None, None].astype(np.float32)
    asked = np.tile(np.repeat(np.arange(10), draws), len(scales))
    network = denoise_in_halves(lambda x, t: NETWORK.apply(weights, x, t))
    label = np.eye(10)[asked]

    def guided(x_t, t):
        eps_y, eps = with_label(network, label)(x_t, t), with_label(network, 0 * label)(x_t, t)
        return eps + (1 + w) * (eps_y - eps)

    x = rng.standard_normal((len(asked), 14, 14), np.float32)
    with progress_bar(length, "drawing") as bar:
        for step in ddim_sampling(SCHEDULE, guided, x, rng, length, eta=1, clip=(-1, 1)):
            bar.update()

    # %% What are they taken for?  Bayes' rule over the training digits, all seen through noise of σ = 0.5.
    t = 1 + int(np.abs(SCHEDULE.log_snr[1:] - np.log(4)).argmin())
    kinds = [FiniteData(smaller(digits.train[digits.train_labels == k])) for k in range(10)]

    def taken_for(x_0):
        x_t = marginal(SCHEDULE, x_0.astype(float), t).mean
        return np.argmax([kind.log_q(SCHEDULE, x_t, t) for kind in kinds], 0)

    right = (taken_for(step.x) == asked).reshape(len(scales), -1).mean(1)
    real = float((taken_for(smaller(digits.held_out)) == digits.held_out_labels).mean())
    drawn = step.x.reshape(len(scales), 10, draws, 14, 14)
    others = np.stack([kind.points[:draws] for kind in kinds])
    variety = drawn.var(2).mean((1, 2, 3)) / others.var(1).mean()
    percent = [f"{100 * share:.0f} %" for share in (*right, real, variety[1], variety[-1])]
    answer = (f"Taken for the digit asked for: {percent[0]} of drawings without a label, {percent[1]} with it, "
              f"{percent[len(scales) - 1]} at w = {scales[-1]} (real: {percent[-3]}).\n"
              f"The price is variety: the variance between drawings of a digit falls from {percent[-2]} to {percent[-1]} of the real one")

    # %%
    figure, axes = plot.new_figure(1, 8, 1.7, rows=len(scales))
    for ax, x_0, scale, share in zip(axes.flat, drawn, scales, percent):
        images = to_images(x_0[:, :2].swapaxes(0, 1)).repeat(2, -1).repeat(2, -2)
        plot.draw_table(ax, images, range(10) if scale == scales[0] else ())
        ax.set_ylabel(f"w = {scale}\n{share}".replace("-", "−"))
    figure.suptitle(answer, x=0.01, ha="left", fontsize=10)
    write_picture(out / "guidance.png", figure)
    finish(out, f"{answer}.".replace("\n", " "), seed, w=scales, drawings=10 * draws, taken_for_the_label=right.tolist(),
           variety=variety.tolist(), held_out_taken_for_the_label=real)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "guidance-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=1500, metavar="N", help="of training (%(default)s)")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
