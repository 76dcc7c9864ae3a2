"""What does the forward process do to data?

    python demos/forward.py

q(x_t | x_0) = N(√ᾱ_t·x_0, 1 − ᾱ_t): every x_0 shrinks towards the origin while noise is added,
until x_t is nearly independent of x_0.  Above, points of the plane, with contours of q(x_t),
which is known because the data are a mixture of Gaussians, and for two chosen x_0 the circles of
q(x_t | x_0).  Below them a digit at the same t, and the signal-to-noise ratio.  Writes
forward.png and report.json; and the Markov chain, step by step, as a film: forward.gif, and
forward.html, which opens in any browser.
"""
# %%
import numpy as np
from common import demo_parser, finish, run_demo
from films import film, save_film

from tinyddpm import diffuse, forward_step, linear, marginal, mnist, prior_term, toy
from tinyddpm.app import plot
from tinyddpm.app.console import progress_bar, write_picture
from tinyddpm.decoder import from_levels, to_images

CHOSEN = plot.OTHERS[0], plot.OTHERS[2]  # the colours of the two chosen x_0
SIDE = np.linspace(-2.8, 2.8, 141)  # of the square that is shown
ANGLE = np.linspace(0, 2 * np.pi, 100)
CIRCLE = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)


def circle_of(gaussian):
    """A circle of two standard deviations about a mean (2,): its x and y."""
    return (gaussian.mean + 2 * np.sqrt(gaussian.var) * CIRCLE).T


def draw_contours(ax, data, schedule, t, rng):
    """Two lines of equal q(x_t), which hold 50 % and 90 % of all x_t."""
    draws = diffuse(schedule, data.sample(rng, 5000), t, rng.standard_normal((5000, 2)))
    levels = np.quantile(data.log_q(schedule, draws, t), (0.1, 0.5))
    plane = np.stack(np.meshgrid(SIDE, SIDE), axis=-1).reshape(-1, 2)
    log_q = data.log_q(schedule, plane, t).reshape(len(SIDE), len(SIDE))
    ax.contour(SIDE, SIDE, log_q, levels, colors=plot.EXACT, linewidths=0.9, linestyles="solid")


def chain(schedule, x_0, images, rng):
    """The forward process step by step: points (T + 1, n, 2), and images (T + 1, H, W) uint8.

    The images have 16 grey levels only: noise does not compress, and the film would be large.
    """
    points, pixels = [x_0], [images]
    for t in range(1, schedule.T + 1):
        eps = rng.standard_normal(x_0.shape)
        image_eps = rng.standard_normal(images.shape, np.float32)
        points.append(forward_step(schedule, points[-1], t).sample(eps))
        pixels.append(forward_step(schedule, pixels[-1], t).sample(image_eps))
    return np.array(points), to_images(np.concatenate(pixels)) // 17 * 17


def main(out, seed, quick):
    rng = np.random.default_rng(seed)
    schedule, data, image = linear(1000), toy("moons"), from_levels(mnist().train[7:8])
    x_0, two = data.sample(rng, 1500), data.means[[4, -4]]
    half = int(np.argmin(abs(schedule.log_snr)))  # where signal and noise are equally strong
    L_T = float(prior_term(schedule, x_0).mean())

    # %% Five times side by side.
    moments = (1, 40, 120, half, schedule.T)
    figure, axes = plot.new_figure(5, 1.7, 1.75, rows=3, height_ratios=(1, 1, 0.7))
    eps, image_eps = rng.standard_normal(x_0.shape), rng.standard_normal(image.shape, np.float32)
    for (above, below), t in zip(axes[:2].T, moments):
        x_t = diffuse(schedule, x_0, t, eps)
        plot.draw_points(above, x_t, plot.DATA, f"$t = {t}$", SIDE[-1])
        draw_contours(above, data, schedule, t, rng)
        for centre, colour in zip(two, CHOSEN):
            q = marginal(schedule, centre, t)
            above.plot(*circle_of(q), color=colour)
            above.plot(*q.mean, ".", color=colour)
        below.imshow(plot.to_canvas(to_images(diffuse(schedule, image, t, image_eps))))
        above.axis("off")
        below.axis("off")
    for ax, name in zip(axes[:, 0], ("points of\nthe plane", "a digit")):
        ax.text(-0.05, 0.5, name, ha="right", va="center", transform=ax.transAxes)
    for ax in axes[2]:
        ax.remove()
    snr = figure.add_subplot(axes[2, 0].get_gridspec()[2, :])
    snr.semilogy(np.arange(1, schedule.T + 1), schedule.snr[1:], color=plot.EXACT)
    snr.semilogy(moments, schedule.snr[list(moments)], "o", color=plot.EXACT, clip_on=False)
    snr.annotate(f"signal and noise equally strong: $t = {half}$", (half, 1), (8, 8),
                 textcoords="offset points")
    snr.spines[["top", "right"]].set_visible(False)
    snr.set(xlabel="$t$", ylabel="signal-to-noise\nratio", xlim=(0, schedule.T),
            yticks=[1e4, 1, 1e-4])
    title = "The signal shrinks and noise takes its place, until $x_T$ is nearly pure noise"
    figure.suptitle(title, x=0.01, ha="left")
    figure.supxlabel("lines: contours around 50 % and 90 % of $q(x_t)$; "
                     "circles: two standard deviations of $q(x_t\\,|\\,x_0)$ for two $x_0$",
                     x=0.01, ha="left", fontsize=9)
    write_picture(out / "forward.png", figure)

    # %% The film.
    n = 100 if quick else 300
    points, pixels = chain(schedule, np.concatenate([x_0[:n], two]), image, rng)
    times = (schedule.T * np.linspace(0, 1, 4 if quick else 45) ** 1.5).astype(int)
    figure, (left, right) = plot.new_figure(2, 2.7, 2.9)
    left.set(xlim=SIDE[[0, -1]], ylim=SIDE[[0, -1]], aspect="equal")
    sizes, colours = [4] * n + [40] * 2, [plot.DATA] * n + list(CHOSEN)
    dots = left.scatter(*points[0].T, s=sizes, color=colours, linewidths=0)
    circles = [left.plot([], [], color=colour)[0] for colour in CHOSEN]
    picture = right.imshow(plot.to_canvas(pixels[:1]))
    left.axis("off")
    right.axis("off")
    figure.set_dpi(80)

    def show(i):
        t = times[i]
        dots.set_offsets(points[t])
        picture.set_data(plot.to_canvas(pixels[t:t + 1]))
        for circle, centre in zip(circles, two):
            if t > 0:
                circle.set_data(*circle_of(marginal(schedule, centre, t)))
        left.set_title(f"$t = {t}$", loc="left")
        bar.update()

    with progress_bar(len(times) + 1, "filming", "frame") as bar:  # the first is drawn twice
        pictures = film(figure, show, len(times))
    for name in ("forward.gif", "forward.html"):
        save_film(pictures, out / name, "Points and a digit while noise is added, t = 0 to T")
    answer = ("It scales every x_0 by √ᾱ_t and adds noise of variance 1 − ᾱ_t.  Signal and noise "
              f"are equally strong at t = {half} of {schedule.T}; at t = T, q(x_T | x_0) is N(0, "
              f"I) up to a mean KL of {L_T:.1g} nats.")
    finish(out, answer, seed, signal_equals_noise_at=half, mean_L_T_nats=L_T)


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "forward-out"))
