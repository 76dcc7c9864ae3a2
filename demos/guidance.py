"""How does a class label guide sampling?

    python demos/guidance.py

The network's input gets ten more channels, which hold the digit's label.  In training, one label
in ten is left out, so that one network learns two guesses: ε̂_y with the label, and ε̂_∅ without
it.  Sampling may then go beyond the guess with the label (classifier-free guidance, Ho & Salimans
2022, eq 6):
    ε̂ = ε̂_∅ + (1 + w)·(ε̂_y − ε̂_∅)
The guidance weight w = −1 ignores the label, w = 0 samples the learned q(x_0 | y), and w > 0
amplifies what the label changes.  The digits are reduced to 14×14, by means of 2×2 pixels, so
that a minute of training is enough.  Writes guidance.png and report.json.
"""
# %%
import numpy as np
from autograd import value_and_grad
from common import classify, demo_parser, draw_table, finish, run_demo

from tinyddpm import as_denoiser, conv_denoiser, cosine, ddim_sampling, mnist, train, v_loss
from tinyddpm.app import plot
from tinyddpm.app.console import integer_at_least, progress_bar, write_picture
from tinyddpm.decoder import from_levels, to_images
from tinyddpm.network.threads import denoise_in_halves, gradient_in_halves, one_blas_thread
from tinyddpm.network.weights import unpack

SCHEDULE, NETWORK = cosine(1000), conv_denoiser(1 + 10, outputs=1)


def smaller(images):
    """uint8 (N, 28, 28) → x_0, (N, 14, 14): the means of 2×2 pixels."""
    return from_levels(images).reshape(-1, 14, 2, 14, 2).mean((2, 4))


def with_label_channels(x, label):
    """The network's input, (B, 14, 14, 11): the pixels, and ten constant channels with the label.

    label: (B, 10), one-hot, or zeros for no label.
    """
    channels = np.broadcast_to(label[:, None, None], (*x.shape, 10))
    return np.concatenate([x[..., None], channels.astype(x.dtype)], -1)


def labelled_denoiser(network, label):
    """The network, which predicts v, as a denoiser of digits with these labels."""
    def velocity(x_t, t):
        return network(with_label_channels(x_t, label), t)[..., 0]
    return as_denoiser(SCHEDULE, velocity, "v")


def learn(digits, rng, steps):
    """Algorithm 1 on digits with their labels: the pixels are diffused, the labels are not."""
    images, labels = smaller(digits.train), np.eye(10)[digits.train_labels]

    def draw(rng, n):
        rows = rng.integers(len(images), size=n)
        is_kept = rng.random((n, 1)) > 0.1  # one label in ten is left out
        return with_label_channels(images[rows], labels[rows] * is_kept)

    def loss(schedule, network, x_0, t, eps):
        denoiser = labelled_denoiser(network, x_0[:, 0, 0, 1:])
        return v_loss(schedule, denoiser, x_0[..., 0], t, eps[..., 0])

    def differentiate(f):
        return gradient_in_halves(value_and_grad(f))

    with progress_bar(steps, "training") as bar, one_blas_thread():
        for step in train(SCHEDULE, NETWORK, draw, rng, steps, 64, loss, learning_rate=4e-3,
                          ema_decay=0.995, differentiate=differentiate):
            ema = step.state.ema
            bar.update()
    return ema


def main(out, seed, quick, steps, scales=(-1, 0, 1, 3), draws=8, length=50):
    digits, rng = mnist(), np.random.default_rng(seed)
    if quick:
        steps, draws, length = 3, 2, 3
    weights = unpack(learn(digits, rng, steps), NETWORK.layout)

    # %% Sample every digit with every w, in fewer steps than T (DDIM with η = 1).
    w = np.repeat(scales, 10 * draws)[:, None, None].astype(np.float32)
    requested = np.tile(np.repeat(np.arange(10), draws), len(scales))
    network = denoise_in_halves(lambda x, t: NETWORK.apply(weights, x, t))
    label = np.eye(10)[requested]

    def guided(x_t, t):
        eps_y = labelled_denoiser(network, label)(x_t, t)
        eps = labelled_denoiser(network, 0 * label)(x_t, t)
        return eps + (1 + w) * (eps_y - eps)

    x = rng.standard_normal((len(requested), 14, 14), np.float32)
    with progress_bar(length, "sampling") as bar:
        for step in ddim_sampling(SCHEDULE, guided, x, rng, length, eta=1, clip=(-1, 1)):
            x_0 = step.x
            bar.update()

    # %% How many are recognised as the requested digit?  How much do the samples of a digit differ?
    classes = [smaller(digits.train[digits.train_labels == k]) for k in range(10)]
    is_right = classify(SCHEDULE, x_0, classes) == requested
    recognised = is_right.reshape(len(scales), -1).mean(1)
    held_out = smaller(digits.held_out)
    real = float((classify(SCHEDULE, held_out, classes) == digits.held_out_labels).mean())
    samples = x_0.reshape(len(scales), 10, draws, 14, 14)
    real_samples = np.stack([images[:draws] for images in classes]).astype(float)
    variety = samples.var(2).mean((1, 2, 3)) / real_samples.var(1).mean()

    # %%
    title = (f"Of the samples, {recognised[1]:.0%} are recognised as the requested digit, and "
             f"{recognised[-1]:.0%} with guidance")
    meanings = {-1: "label ignored", 0: "label used", 1: "label amplified", 3: "amplified more"}
    figure, axes = plot.new_figure(1, 8.6, 1.7, rows=len(scales))
    for ax, drawn, scale, share in zip(axes.flat, samples, scales, recognised):
        images = to_images(drawn[:, :2].swapaxes(0, 1)).repeat(2, -1).repeat(2, -2)
        draw_table(ax, images, range(10) if scale == scales[0] else ())
        label = f"w = {scale}:\n{meanings[scale]}\n\nrecognised:\n{share:.0%}".replace("-", "−")
        ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    axes[0].set_title("requested digit", loc="left", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.supxlabel("w: guidance weight in  "
                     r"$\hat\varepsilon = \hat\varepsilon_\varnothing + "
                     r"(1+w)\,(\hat\varepsilon_y - \hat\varepsilon_\varnothing)$;  "
                     r"$\hat\varepsilon_y$: guess with the label, "
                     r"$\hat\varepsilon_\varnothing$: without it", x=0.01, ha="left", fontsize=9)
    write_picture(out / "guidance.png", figure)
    answer = (f"The samples recognised as the requested digit are {recognised[0]:.0%} without the "
              f"label, {recognised[1]:.0%} with it, and {recognised[-1]:.0%} with the guidance "
              f"weight w = {scales[-1]} (of real digits {real:.0%}).  In ε̂ = ε̂_∅ + (1 + w)·"
              "(ε̂_y − ε̂_∅), −1 ignores the label, 0 uses it, and more amplifies what it changes.")
    finish(out, answer, seed, w=scales, samples=10 * draws,
           recognised_as_requested=recognised.tolist(), real_digits_recognised=real,
           variance_relative_to_real=variety.tolist())


if __name__ == "__main__":
    parser = demo_parser(__doc__, "guidance-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=1500, metavar="N",
                        help="of training (%(default)s)")
    run_demo(main, parser)
