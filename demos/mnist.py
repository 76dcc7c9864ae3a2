"""Digits: what does a small denoiser learn from 4,500 handwritten digits in a few minutes on a CPU?

    python demos/mnist.py --minutes 5

trains the convolutional denoiser and writes to --out: samples.npy ((N, 28, 28) uint8) and samples.png; reverse.gif and
reverse.html (noise turning into digits; the page plays from disk); progressive.png (the chain x_t, and below it the guess
x̂_0(x_t) that leads it: first the mean of all digits, then a blurred one, at last a sharp one); ledger.png; and report.json
with the ELBO of held-out digits in bits per dimension.  The run folder beside them serves `python -m tinyddpm sample` and
`elbo`.  A second call goes on with the run that is there, until it has had its minutes.
"""
# %%
import numpy as np

from tinyddpm import ancestral_sampling
from tinyddpm.app import plot, run as runs
from tinyddpm.app.console import (progress_over, demo_parser, finish, ledger_to_dict, one_sentence_for_mistakes, positive, print_ledger,
                              train_with_bar, integer_at_least, write_picture)


def main(out, seed, quick, minutes, n, held_out=100):
    # %% Train.
    dataset, folder = runs.open_data("mnist"), out / "run"
    choices = dict(T=20, batch=16, network=dict(width=8, outer_blocks=1, inner_blocks=1)) if quick else {}
    if quick:
        minutes, n, held_out = 0.03, 4, 4
    runs.check_size("n", n, dataset.held_out.shape[1:])
    new = not (folder / "settings.json").exists()
    with runs.locked(folder, new):
        run, rng = runs.start(dataset, seed, minutes=minutes, **choices) if new else runs.load(folder)
        run = run._replace(settings={**run.settings, "minutes": minutes})
        run = train_with_bar(run, dataset, rng, folder)

    # %% Sample.  Every step of Algorithm 2 is taken for all; 36 are looked at on their way, 36 times.
    T, rng, seen = run.schedule.T, np.random.default_rng(seed), {}
    times = np.unique(np.linspace(1, T, 36).round().astype(int))[::-1]
    x = rng.standard_normal((n, 28, 28), np.float32)
    chain = ancestral_sampling(run.schedule, run.denoiser, x, rng, variance=run.settings["variance"], clip=run.clip)
    for t, step in zip(progress_over("sampling")(range(T, 0, -1)), chain):
        if t in times:
            seen[t] = x[:36], step.x_0[:36]
        x = step.x
    samples = run.decode(x)
    np.save(out / "samples.npy", samples)
    write_picture(out / "samples.png", plot.image_grid(samples[:100]))
    film = plot.animate_images(np.stack([run.decode(x_t) for x_t, _ in seen.values()] + [samples[:36]]))
    plot.save_animation(film, out / "reverse.gif")
    plot.save_animation(film, out / "reverse.html")

    # %% The guess on its way: how far is it from where the chain will end?
    error = np.array([((guess - x[:36]) ** 2).mean() for _, guess in seen.values()])
    half, tenth = (int(times[np.argmax(error <= share * error[0])]) for share in (0.5, 0.1))
    decided = f"Half of a digit is decided by t = {half} of {T}, nine tenths by t = {tenth} (squared distance of the guess x̂₀)"
    moments = (1, 0.92, 0.87, 0.82, 0.77, 0.72, 0.67, 0.6, 0.5, 0)
    columns = [times[np.abs(times - moment * T).argmin()] for moment in moments]
    figure, axes = plot.new_figure(1, 8.2, 1.78, rows=min(n, 3))
    for i, ax in enumerate(axes.flat):
        rows = [[run.decode(seen[t][view][i]) for t in columns] for view in (0, 1)]
        plot.draw_table(ax, np.array(rows), [f"t = {t}" for t in columns] if i == 0 else (), ("$x_t$", r"$\hat x_0(x_t)$"))
    figure.suptitle(decided, x=0.01, ha="left", fontsize=10)
    write_picture(out / "progressive.png", figure)

    # %% The ledger of digits that were never trained on.
    ledger = run.ledger(dataset.held_out[:held_out], rng, progress=progress_over("ledger"))
    write_picture(out / "ledger.png", plot.ledger_per_t(ledger))
    print(f"\n{run.state.step} steps of {run.settings['batch']} digits; held-out digits: {held_out}")
    print_ledger(ledger)
    bits, error = (ledger.bits_per_dim(nats) for nats in ledger.summary()["total"])
    answer = f"{run.state.step} steps leave held-out digits at {bits:.3f} ± {error:.3f} bits per dimension.  {decided}."
    finish(out, answer, seed, minutes=minutes, steps=run.state.step, settings=run.settings, held_out=held_out, n=n,
           half_way=half, nine_tenths=tenth, ledger=ledger_to_dict(ledger))


if __name__ == "__main__":
    parser = demo_parser(__doc__, "mnist-out")
    parser.add_argument("--minutes", type=positive, default=5, help="of training (%(default)s)")
    parser.add_argument("--n", type=integer_at_least(1), default=64, help="samples (%(default)s); demos/judge.py takes 500 or more")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
