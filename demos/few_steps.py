"""How few steps will do, and whose error is it?

    python demos/few_steps.py

DDIM's sampler (η = 0, no fresh noise) and DDPM's (η = 1) may visit 1000, 100, 20 or 5 of the T = 1000 steps.  Here both
are led by the exact denoiser, so no network is to blame.  For Gaussian data every step is affine in x_t, so the covariance
of what comes out is an exact recursion, without a single sample: what is missing is the error of taking large steps.
Below, the same two samplers on two moons, with their exact denoiser; the data are grey.  Writes few_steps.png.
"""
# %%
import numpy as np

from tinyddpm import ddim_sampling, ddim_step, final_sample, linear, predict, toy
from tinyddpm.app import plot
from tinyddpm.app.console import progress_over, demo_parser, finish, one_sentence_for_mistakes, write_picture
from tinyddpm.oracle import gaussian_chain
from tinyddpm.sampling import sampling_times

SAMPLERS = {"DDPM, η = 1": (1.0, plot.MODEL), "DDIM, η = 0": (0.0, plot.OTHERS[0])}


def exact_covariance(schedule, data, steps, eta):
    """Cov(x_0) of what the sampler makes of x_T ~ N(0, I), for Gaussian data and the exact denoiser, (D, D)."""
    D, denoiser = data.dimensions, data.denoiser(schedule)
    covariance, times = np.eye(D), sampling_times(schedule, steps)
    for t, s in zip(times[::-1], (0, *times[:-1])[::-1]):
        probe = np.concatenate([np.zeros((1, D)), np.eye(D)])  # what an affine map makes of 0 and of a basis tells all of it
        p = ddim_step(schedule, predict(schedule, denoiser, probe, t), s, eta)
        gain = (p.mean[1:] - p.mean[0]).T
        covariance = gain @ covariance @ gain.T + p.var * np.eye(D)
    return covariance


def main(out, seed, quick):
    rng, schedule = np.random.default_rng(seed), linear(1000)
    data, moons = toy("gaussian"), toy("moons")
    shown = (5, 20, 100) if quick else (5, 20, 100, 1000)

    # %% The exact error of the covariance, relative, for more and more steps.
    numbers = (2, 5, 10, 20, 50, 100) if quick else (2, 5, 10, 20, 50, 100, 200, 500, 1000)

    def relative(covariance, true=data.covariance):
        return float(np.linalg.norm(covariance - true) / np.linalg.norm(true))
    error = {name: {n: relative(exact_covariance(schedule, data, n, eta)) for n in numbers}
             for name, (eta, _) in SAMPLERS.items()}
    # All T steps with η = 1 are Algorithm 2 with σ_t² = β̃_t, for which the oracle has a recursion of its own.
    apart = relative(exact_covariance(schedule, data, schedule.T, 1.0), gaussian_chain(schedule, data, "beta_tilde")[1][0])

    # %% Clouds: for all of them the same x_T.
    x_T, x_0 = rng.standard_normal((600, 2)), moons.sample(rng, 1200)
    clouds = {(name, n): final_sample(ddim_sampling(schedule, moons.denoiser(schedule), x_T, rng, n, SAMPLERS[name][0]))
              for name, n in progress_over("moons")([(name, n) for n in shown for name in SAMPLERS])}

    # %% The picture.
    figure, axes = plot.new_figure(len(shown), 8.4 / len(shown), 2, rows=3, height_ratios=(1.8, 1, 1))
    for ax in axes[0]:
        ax.remove()
    above = figure.add_subplot(axes[0, 0].get_gridspec()[0, :])
    above.spines[["top", "right"]].set_visible(False)
    for row, (name, (_, colour)) in zip(axes[1:], SAMPLERS.items()):
        above.loglog(numbers, list(error[name].values()), "o-", color=colour, markersize=5)
        for ax, n in zip(row, shown):
            plot.draw_points(ax, x_0, plot.FAINT, "")
            ax.scatter(*clouds[name, n].T, s=3, color=colour, linewidths=0)
            ax.set(xlim=(-2.3, 2.3), ylim=(-1.55, 1.55), xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(name, color=colour, fontsize=11)
    for ax, n in zip(axes[1], shown):
        ax.set_title(f"{n} steps", fontsize=11)
    for name, x, y in zip(SAMPLERS, (11, 4.5), (0.5, 0.13)):
        above.text(x, y, name, color=SAMPLERS[name][1], fontsize=11)
    above.loglog([100, 1000], [0.2, 0.02], color=plot.EXACT, linestyle="--", linewidth=0.9)
    above.text(260, 0.1, "∝ 1/steps", color=plot.EXACT)
    ticks = [0.01, 0.1, 1]
    above.set(xticks=numbers, xticklabels=map(str, numbers), xlabel="steps", yticks=ticks,
              yticklabels=[f"{y:.0%}" for y in ticks])
    above.minorticks_off()
    above.set_title("error of the covariance of Gaussian data, exact", loc="left", fontsize=10)
    most = numbers[-1]
    ddpm, ddim = error.values()
    figure.suptitle(f"With the exact denoiser the error is the sampler's, and falls as 1/steps:\n{ddpm[20]:.0%} (DDPM) and "
                    f"{ddim[20]:.0%} (DDIM) at 20 steps, {ddpm[most]:.2%} and {ddim[most]:.2%} at {most}", x=0.01, ha="left")

    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "few_steps.png", figure)
    listed = ", ".join(f"{ddpm[n]:.2g} (DDPM) and {ddim[n]:.2g} (DDIM) at {n}" for n in shown)
    halved = " and ".join(f"{e[numbers[-2]] / e[most]:.2f}" for e in (ddpm, ddim))
    finish(out, f"With the exact denoiser all of the error is the sampler's and falls as 1/steps (twice as many divide it by "
                f"{halved}): the covariance of Gaussian data is off by {listed} steps, relative.", seed,
           relative_error_of_the_covariance=error, recursion_against_oracle=apart)


if __name__ == "__main__":
    arguments = demo_parser(__doc__, "few-steps-out").parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
