"""How large is the error of sampling in fewer steps?

    python demos/few_steps.py

DDIM's sampler (η = 0, no fresh noise) and DDPM's (η = 1) may visit 1000, 100, 20 or 5 of the T =
1000 steps.  Here both use the exact denoiser, so every error is the sampler's own.  For Gaussian
data each step is affine in x_t, and the covariance of the samples follows from an exact
recursion, without drawing any.  Below, the same two samplers on two moons, with their exact
denoiser; the data are grey.  Writes few_steps.png and report.json.
"""
# %%
import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import ddim_sampling, ddim_step, final_sample, linear, predict, toy
from tinyddpm.app import plot
from tinyddpm.app.console import progress_over, write_picture
from tinyddpm.linear_chain import gaussian_chain
from tinyddpm.sampling import sampling_times

SAMPLERS = {"DDPM, η = 1": (1.0, plot.MODEL), "DDIM, η = 0": (0.0, plot.OTHERS[0])}


def exact_covariance(schedule, data, steps, eta):
    """Cov(x_0) of the samples, (D, D), for Gaussian data and their exact denoiser."""
    D, denoiser = data.dimensions, data.denoiser(schedule)
    covariance, times = np.eye(D), sampling_times(schedule, steps)
    # An affine map is known from its values at 0 and at each basis vector.
    probe = np.concatenate([np.zeros((1, D)), np.eye(D)])
    for t, s in zip(times[::-1], (0, *times[:-1])[::-1]):
        p = ddim_step(schedule, predict(schedule, denoiser, probe, t), s, eta)
        gain = (p.mean[1:] - p.mean[0]).T
        covariance = gain @ covariance @ gain.T + p.var * np.eye(D)
    return covariance


def relative_error(covariance, expected):
    return float(np.linalg.norm(covariance - expected) / np.linalg.norm(expected))


def main(out, seed, quick):
    rng, schedule = np.random.default_rng(seed), linear(1000)
    data, moons = toy("gaussian"), toy("moons")
    shown = (5, 20, 100) if quick else (5, 20, 100, 1000)

    # %% The exact relative error of the covariance, for more and more steps.
    numbers = (2, 5, 10, 20, 50, 100) if quick else (2, 5, 10, 20, 50, 100, 200, 500, 1000)
    error = {}
    for name, (eta, _) in SAMPLERS.items():
        found = {n: exact_covariance(schedule, data, n, eta) for n in numbers}
        error[name] = {n: relative_error(found[n], data.covariance) for n in numbers}
    # All T steps with η = 1 are Algorithm 2 with σ_t² = β̃_t.  The oracle has a recursion for it.
    by_ddim = exact_covariance(schedule, data, schedule.T, 1.0)
    by_oracle = gaussian_chain(schedule, data, "beta_tilde")[1][0]
    recursion_difference = relative_error(by_ddim, by_oracle)

    # %% Samples of two moons, all from the same x_T.
    x_T, x_0 = rng.standard_normal((600, 2)), moons.sample(rng, 1200)
    denoiser, clouds = moons.denoiser(schedule), {}
    for name, n in progress_over("moons")([(name, n) for n in shown for name in SAMPLERS]):
        eta = SAMPLERS[name][0]
        clouds[name, n] = final_sample(ddim_sampling(schedule, denoiser, x_T, rng, n, eta))

    # %% The picture.
    figure, axes = plot.new_figure(len(shown), 8.4 / len(shown), 2, rows=3,
                                   height_ratios=(1.8, 1, 1))
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
    above.set(xticks=numbers, xticklabels=map(str, numbers), xlabel="sampling steps", yticks=ticks,
              yticklabels=[f"{y:.0%}" for y in ticks])
    above.minorticks_off()
    above.set_title("Gaussian data: relative error of the samples' covariance, exact",
                    loc="left", fontsize=10)
    title = "With an exact denoiser the sampler's error falls as 1/steps"
    figure.suptitle(title, x=0.01, ha="left")
    figure.supxlabel("below: samples of two moons with their exact denoiser (grey: data); η: share "
                     "of DDPM's noise that each step adds", x=0.01, ha="left", fontsize=9)
    write_picture(out / "few_steps.png", figure)

    ddpm, ddim = error.values()
    most, half = numbers[-1], numbers[-2]
    ratios = {name: found[half] / found[most] for name, found in error.items()}
    answer = (f"{title}.  For Gaussian data the covariance is wrong by {ddpm[20]:.0%} (DDPM) and "
              f"{ddim[20]:.0%} (DDIM) after 20 steps, and by {ddpm[most]:.2%} and "
              f"{ddim[most]:.2%} after {most}.")
    finish(out, answer, seed, relative_error_of_the_covariance=error,
           error_ratio_for_twice_the_steps=ratios, recursion_against_oracle=recursion_difference)


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "few-steps-out"))
