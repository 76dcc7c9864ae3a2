"""The trained denoiser of digits that comes with the package."""
import numpy as np
import pytest

from tinyddpm import marginal, mnist, predict
from tinyddpm.app import run as runs
from tinyddpm.app import shipped
from tinyddpm.app.command_line import main

TINY = dict(steps=2, T=20, batch=4, network=dict(width=4, outer_blocks=1, inner_blocks=1))


def squared_error(run, t):
    """The mean squared error of x̂_0(x_t) on a few held-out digits."""
    x_0 = run.encode(mnist().held_out[:20])
    x_t = marginal(run.schedule, x_0, t).sample(np.random.default_rng(0).standard_normal(x_0.shape))
    return np.mean((predict(run.schedule, run.denoiser, x_t, t, run.clip).x_0 - x_0) ** 2)


def test_it_knows_digits():
    """Its guess has less than half the error of the same network without training, which knows
    the grey levels of single pixels only."""
    run = shipped.digits()
    untrained, _ = runs.start(runs.open_data("mnist"))
    t = 600
    assert squared_error(run, t) < 0.5 * squared_error(untrained, t)
    assert shipped.DIGITS.stat().st_size < 2e6


def test_it_was_trained_on_the_digits_of_the_package():
    run, dataset = shipped.digits(), runs.open_data("mnist")
    assert run.settings["data"] == "mnist" and run.settings["sha256"] == dataset.sha256
    assert run.state.step == run.settings["steps"]  # to its end
    assert (run.held_out == dataset.held_out).all()


def test_a_run_is_written_and_read(tmp_path, monkeypatch):
    dataset = runs.open_data("mnist")
    run, rng = runs.start(dataset, **TINY)
    with runs.locked(tmp_path / "run", new=True):
        run = runs.fit(run, dataset, rng, tmp_path / "run")
    path = tmp_path / "trained.npz"
    shipped.write(tmp_path / "run", path)
    monkeypatch.setattr(shipped, "DIGITS", path)
    read = shipped.digits()
    assert read.settings == run.settings and read.state.step == 2
    assert read.state.ema == pytest.approx(run.state.ema, rel=2 ** -11, abs=2 ** -25)  # float16
    for own, original in zip(read.table.histograms, run.table.histograms):
        assert (own == original).all()

    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read as the trained denoiser of digits"):
        shipped.digits()


def test_commands_without_a_run_use_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["sample", "--n", "2", "--steps", "2"])
    assert np.load("samples.npy").shape == (2, 28, 28) and "samples.png" in capsys.readouterr().out
