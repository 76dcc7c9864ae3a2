"""What a user of a notebook types: six tasks, their lines counted, and how mistakes are refused."""
import re
import sys
import threading
import types

import numpy as np
import pytest
from messages import one_sentence

import tinyddpm
from tinyddpm import (
    Gaussian,
    Schedule,
    algorithm_1,
    algorithm_2,
    ancestral_sampling,
    as_denoiser,
    cosine,
    ddim_sampling,
    elbo,
    final_sample,
    ledger,
    level_log_prob,
    mlp,
    simple_loss,
    toy,
    train,
)
from tinyddpm.app import run as runs
from tinyddpm.app import settings
from tinyddpm.app.command_line import main
from tinyddpm.app.fit import Interrupted
from tinyddpm.decoder import from_levels
from tinyddpm.reverse import predict

SMALL = dict(steps=12, batch=8, T=6, network=dict(width=8, depth=1))
SMALL_IMAGES = dict(steps=3, batch=4, T=5,
                    network=dict(width=8, outer_blocks=1, inner_blocks=1))
POINTS = toy("moons").sample(np.random.default_rng(0), 300) * [5, 0.1] + [100, -3]
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)


@pytest.fixture(scope="module")
def run():
    return tinyddpm.fit(POINTS, progress=False, **SMALL)


@pytest.fixture(scope="module")
def run_of_images():
    return tinyddpm.fit(IMAGES, progress=False, **SMALL_IMAGES)


# The six tasks.

TASKS = {  # the lines it takes: the code
    "train on an array": (1, """
run = tinyddpm.fit(points)
"""),
    "sample": (1, """
samples = run.sample(1000)
"""),
    "the ledger, which prints itself": (1, """
run.ledger()
"""),
    "plot its terms": (1, """
plt.plot(run.ledger().per_t()[0])
"""),
    "save, load, train on": (3, """
run.save("run")  # python -m tinyddpm train --resume run goes on, too
run = tinyddpm.load_run("run")
run = run.fit(steps=24)
"""),
    "a PyTorch model as a denoiser": (3, """
denoiser = lambda x, t: model(torch.tensor(x, dtype=torch.float32),
                              torch.tensor(t - 1).expand(len(x))).detach().numpy().astype(x.dtype)
tinyddpm.ledger(schedule, denoiser, x_0, rng)
"""),
}


def lambda_of_the_docstring(start):
    """The code in the docstring of `as_denoiser` that begins so, up to `astype(x.dtype)`."""
    code = re.search(rf"lambda x, t: {start}.*?astype\(x\.dtype\)", as_denoiser.__doc__, re.DOTALL)
    return " ".join(code[0].split())


def test_six_tasks(tmp_path, monkeypatch, capsys):
    """Each is typed as it stands, one after the other."""
    from matplotlib.figure import Figure

    small = {**settings.RECIPES["best"]["points"], **SMALL}
    monkeypatch.setitem(settings.RECIPES["best"], "points", small)
    monkeypatch.chdir(tmp_path)
    names = {"tinyddpm": tinyddpm, "points": POINTS, "plt": Figure().subplots(),
             "schedule": cosine(5), "x_0": POINTS - POINTS.mean(0), "torch": NUMPY_AS_TORCH,
             "model": model_that_counts_from_0(5), "rng": np.random.default_rng(0)}
    for task, (lines, code) in TASKS.items():
        assert len(code.strip().splitlines()) == lines, task
        exec(code, names)
    assert names["samples"].shape == (1000, 2) and names["samples"].dtype == float
    assert repr(names["run"]).startswith("Run(data='run/array.npy', points of shape (2,), 24 steps")
    assert lambda_of_the_docstring(r"model\(torch") in " ".join(code.split())


# Run folders from arrays.

def test_the_command_line_goes_on_where_the_notebook_saved(tmp_path, monkeypatch):
    """Both end with the same bytes as one training in one go; also where the folder is moved."""
    whole = tinyddpm.fit(POINTS, progress=False, folder=tmp_path / "whole", **SMALL)
    stopped = interrupted_at(monkeypatch, 5)
    stopped.save(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    main(["train", "--resume", str(tmp_path / "moved")])
    in_memory = stopped.fit(progress=False)
    assert (in_memory.state.weights == whole.state.weights).all()
    for name in ("checkpoint.npz", "settings.json", "held_out.npy", "array.npy"):
        assert (tmp_path / "moved" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_loaded_run_is_the_run_that_was_saved(run, tmp_path):
    run.save(tmp_path / "run")
    again = tinyddpm.load_run(tmp_path / "run")
    assert (again.sample(5) == run.sample(5)).all()
    assert (again.ledger().terms == run.ledger().terms).all()
    assert [row.step for row in again.log] == [row.step for row in run.log] == [10]
    run.save(tmp_path / "run")  # as when the cells of a notebook are run twice
    longer = again.fit(steps=20, progress=False)
    assert longer.state.step == 20 and again.state.step == run.state.step == 12
    assert [row.step for row in longer.log] == [10, 20]
    longer.save(tmp_path / "run")
    assert runs.load(tmp_path / "run")[0].settings["steps"] == 20
    assert '"data": "array"' in (tmp_path / "run" / "settings.json").read_text()
    with pytest.raises(ValueError) as error:
        run.save(tmp_path / "run")
    one_sentence(error, "after 20 steps", "12", "load_run")


def test_training_on_in_a_folder(run, tmp_path):
    run.save(tmp_path / "run")
    longer = tinyddpm.load_run(tmp_path / "run").fit(steps=30, folder=tmp_path / "run",
                                                    progress=False)
    again = tinyddpm.load_run(tmp_path / "run")
    assert again.state.step == again.settings["steps"] == 30
    assert (again.state.weights == longer.state.weights).all()
    assert [row.step for row in again.log] == [10, 20, 30]


def test_the_samples_and_the_ledger_are_those_of_the_command_line(run, tmp_path, capsys):
    run.save(tmp_path / "run")
    main(["sample", str(tmp_path / "run"), "--n", "7", "--seed", "3"])
    assert (np.load(tmp_path / "run" / "samples.npy") == run.sample(7, rng=3)).all()
    main(["sample", str(tmp_path / "run"), "--n", "7", "--steps", "3", "--eta", "0.5"])
    samples = run.sample(7, steps=3, eta=0.5)
    assert (np.load(tmp_path / "run" / "samples.npy") == samples).all()
    capsys.readouterr()
    main(["elbo", str(tmp_path / "run")])
    assert repr(run.ledger()) in capsys.readouterr().out


def test_names_tables_and_float32(run, tmp_path):
    """A name of a data set, a table with columns, and numbers of another type."""
    of_moons = tinyddpm.fit("moons", progress=False, **SMALL)
    assert of_moons.array is None and len(of_moons.ledger().terms) == 200
    table = type("Table", (), {"columns": ["height", "weight"],
                               "__array__": lambda self, dtype=None, copy=None: POINTS})()
    of_table = tinyddpm.fit(table, progress=False, **SMALL)
    assert of_table.settings["columns"] == ["height", "weight"]
    assert (of_table.state.weights == run.state.weights).all()
    of_table.save(tmp_path / "run")
    main(["train", "--resume", str(tmp_path / "run")])
    assert tinyddpm.load_run(tmp_path / "run").settings["columns"] == ["height", "weight"]
    choices = {**SMALL, "steps": np.int64(2)}
    small = tinyddpm.fit(POINTS.astype(np.float32), progress=False, **choices)
    assert small.state.step == 2 and small.sample(3).dtype == float


def test_what_is_printed(capsys):
    tinyddpm.fit(POINTS, progress=False, **SMALL)
    quiet = capsys.readouterr()
    assert quiet.out == quiet.err == ""
    tinyddpm.fit(POINTS, **SMALL)
    assert "12/12 step" in capsys.readouterr().err


def test_images(run_of_images):
    samples = run_of_images.sample(3)
    assert samples.dtype == np.uint8 and samples.shape == (3, 8, 8)
    result = run_of_images.ledger()
    assert "bits/dim" in repr(result) and result.bits_per_dim(1.0) > 0
    assert (run_of_images.sample(3) == samples).all()
    assert (run_of_images.sample(3, rng=1) != samples).any()


# Ctrl-C.

def interrupted_at(monkeypatch, step, **options):
    """The run that is left of a training whose `step`-th loss raises KeyboardInterrupt."""
    calls = iter(range(1, 100))

    def loss(*arguments):
        if next(calls) == step:
            raise KeyboardInterrupt
        return simple_loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(elbo, "simple_loss", loss)
        patch.setattr(sys, "ps1", ">>> ", raising=False)
        with pytest.warns(UserWarning, match=rf"after {step - 1} steps.*run.fit\(\).*run.save"):
            return tinyddpm.fit(POINTS, progress=False, **SMALL, **options)


def test_the_stop_button_of_a_notebook_leaves_the_run(monkeypatch, tmp_path, run):
    stopped = interrupted_at(monkeypatch, 8)
    assert stopped.state.step == 7 and np.isfinite(stopped.sample(3)).all()
    on = stopped.fit(progress=False)
    assert (on.state.weights == run.state.weights).all()
    in_folder = interrupted_at(monkeypatch, 8, folder=tmp_path / "run")
    assert runs.load(tmp_path / "run")[0].state.step == in_folder.state.step == 7


def test_ctrl_c_ends_a_program(monkeypatch):
    """KeyboardInterrupt is raised, as it always is; it has the run."""
    def loss(*arguments):
        raise KeyboardInterrupt
    monkeypatch.setattr(elbo, "simple_loss", loss)
    monkeypatch.delattr(sys, "ps1", raising=False)
    with pytest.raises(KeyboardInterrupt) as error:
        tinyddpm.fit(POINTS, progress=False, **SMALL)
    assert isinstance(error.value, Interrupted) and error.value.run.state.step == 0


def test_in_a_thread_and_without_a_console(monkeypatch, run):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    found = []

    def work():
        found.append(tinyddpm.fit(POINTS, **SMALL))
        found.append(found[0].sample(5))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (found[0].state.weights == run.state.weights).all()
    assert (found[1] == run.sample(5)).all()


# The ledger as a table.

TABLE = """\
                    nats    ± s.e.   bits/dim
L_T               4.0000    1.0000     2.8854
sum L_{t-1}       2.5000    0.5000     1.8034
L_0               1.5000    0.5000     1.0820
-ELBO             8.0000    2.0000     5.7708"""


def test_a_ledger_prints_itself():
    terms = np.array([[1.0, 2, 3], [2, 3, 5]])
    of_levels = elbo.Ledger(terms, 0 * terms, 2)
    assert repr(of_levels) == str(of_levels) == TABLE
    density = of_levels._replace(of_levels=False)
    assert repr(density) == "\n".join(line[:34] for line in TABLE.splitlines())
    html = density._repr_html_()
    assert html.count("<tr>") == 5 and "<td>-ELBO</td><td>8.0000</td><td>2.0000</td>" in html
    assert "bits" not in html and "bits/dim" in of_levels._repr_html_()


def test_large_arrays_are_not_printed(run, run_of_images):
    for one in (run, run_of_images):
        assert "\n" not in repr(one) and len(repr(one)) < 200
        assert len(repr(one.ledger())) < 300


def test_bits_per_dim_is_for_256_levels():
    """Uniform noise has 8 bits per dimension; under a density, nats say nothing of them."""
    x_0, schedule = from_levels(IMAGES).astype(float), cosine(20)

    def ledger_under(decoder):
        rng = np.random.default_rng(0)
        return ledger(schedule, lambda x_t, t: 0 * x_t, x_0, rng, decoder=decoder)

    levels, density = ledger_under(level_log_prob), ledger_under(Gaussian.log_prob)
    assert levels.bits_per_dim(levels.summary()["total"][0]) > 8
    with pytest.raises(ValueError) as error:
        density.bits_per_dim(density.summary()["total"][0])
    one_sentence(error, "density", "decoder=level_log_prob")
    assert "bits" not in repr(density)


# A model of PyTorch.

def model_that_counts_from_0(T):
    """ε̂ = table[t]·x for t = 0…T − 1, of float32, with one t for each item, by NumPy."""
    table = np.linspace(0.1, 0.5, T, dtype=np.float32)

    def model(x, t):
        assert x.array.dtype == np.float32 and t.array.shape == (len(x.array),)
        assert (t.array >= 0).all()
        return Tensor(table[t.array][:, None] * x.array)
    return model


class Tensor:
    """The few methods of a torch.Tensor that the lambda uses; numpy() needs detach() first."""

    def __init__(self, array, is_detached=False):
        self.array, self.is_detached = np.asarray(array), is_detached

    def expand(self, n):
        return Tensor(np.broadcast_to(self.array, (n,)))

    def detach(self):
        return Tensor(self.array, True)

    def numpy(self):
        assert self.is_detached
        return self.array


NUMPY_AS_TORCH = types.SimpleNamespace(
    float32=np.float32, tensor=lambda array, dtype=None: Tensor(np.asarray(array, dtype)))


@pytest.mark.parametrize("t", [1, 5, np.array([1, 5, 3])])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_documented_lambda(t, dtype):
    """ε̂ of x_t and t − 1, in the dtype of x_t; for a t that all items share, and one for each."""
    code = lambda_of_the_docstring(r"model\(torch")
    x_t = np.random.default_rng(0).standard_normal((3, 2)).astype(dtype)
    expected = np.linspace(0.1, 0.5, 5)[np.broadcast_to(t, 3) - 1][:, None] * x_t
    schedule = cosine(5)
    stand_in = eval(code, {"torch": NUMPY_AS_TORCH, "model": model_that_counts_from_0(5)})
    eps = predict(schedule, as_denoiser(schedule, stand_in), x_t, t).eps
    assert eps == pytest.approx(expected, rel=1e-5) and eps.dtype == dtype

    table = np.linspace(0.1, 0.5, 5, dtype=np.float32)

    def model(x, t):
        assert x.dtype == np.float32
        return table[t][:, None] * x
    jax_like = eval(lambda_of_the_docstring(r"np\.asarray\(model"), {"np": np, "model": model})
    eps = predict(schedule, as_denoiser(schedule, jax_like), x_t, t).eps
    assert eps == pytest.approx(expected, rel=1e-5) and eps.dtype == dtype


def test_the_documented_lambda_with_pytorch():
    torch = pytest.importorskip("torch")
    embedding = torch.nn.Embedding(5, 2)

    def model(x, t):
        return x * embedding(t)

    schedule, rng = cosine(5), np.random.default_rng(0)
    code = lambda_of_the_docstring(r"model\(torch")
    denoiser = as_denoiser(schedule, eval(code, {"torch": torch, "model": model}))
    x_T = rng.standard_normal((3, 2), np.float32)
    assert final_sample(ancestral_sampling(schedule, denoiser, x_T, rng)).shape == (3, 2)
    assert np.isfinite(ledger(schedule, denoiser, POINTS[:4] - [100, -3], rng).terms).all()
    table = embedding.weight.detach().numpy()
    t = np.array([1, 5, 3])
    assert denoiser(x_T, t) == pytest.approx(x_T * table[t - 1])


# A schedule of your own.

BETAS = [0.1, 0.3, 0.6, 0.99]


def test_a_list_of_beta(tmp_path):
    choices = {name: value for name, value in SMALL.items() if name != "T"}
    by_list = tinyddpm.fit(POINTS, progress=False, schedule=BETAS, **choices)
    assert by_list.schedule.T == by_list.settings["T"] == 4
    assert by_list.settings["schedule"] == "custom"
    by_schedule = tinyddpm.fit(POINTS, progress=False, schedule=Schedule(BETAS), **choices)
    assert (by_schedule.state.weights == by_list.state.weights).all()
    by_list.save(tmp_path / "run")
    again = tinyddpm.load_run(tmp_path / "run")
    assert (again.schedule.beta == by_list.schedule.beta).all()
    assert again.fit(steps=15, progress=False).schedule.T == 4


@pytest.mark.parametrize("name, write", [
    ("b.csv", lambda path: path.write_text("beta\n0.1\n0.3\n0.6\n0.99\n")),
    ("b.csv", lambda path: path.write_text("0.1,0.3,0.6,0.99\n")),
    ("b.npy", lambda path: np.save(path, BETAS))])
def test_a_file_of_beta(tmp_path, name, write):
    write(tmp_path / name)
    small = ["--steps", "4", "--batch", "8", "--width", "8", "--depth", "1"]
    main(["train", "--data", "moons", "--out", str(tmp_path / "run"), *small,
          "--schedule", str(tmp_path / name)])
    assert runs.load(tmp_path / "run")[0].schedule.beta[1:].tolist() == BETAS
    main(["train", "--resume", str(tmp_path / "run")])
    main(["elbo", str(tmp_path / "run"), "--n", "5"])


# What is refused.

X, S, RNG, NETWORK = np.zeros((3, 2)), cosine(10), np.random.default_rng(0), mlp(2, 8, 1)


def half(x_t, t):
    return 0.5 * x_t


def draw(rng, n):
    return rng.standard_normal((n, 2), np.float32)


def fit(data=POINTS, **choices):
    return tinyddpm.fit(data, progress=False, **{**SMALL, **choices})


@pytest.mark.parametrize("call", [
    lambda rng: final_sample(ancestral_sampling(S, half, X, rng)),
    lambda rng: final_sample(ddim_sampling(S, half, X, rng, eta=0.5)),
    lambda rng: final_sample(ddim_sampling(S, half, X, 1 if rng is None else rng)),
    lambda rng: algorithm_2(S, half, X, rng),
    lambda rng: algorithm_1(S, NETWORK, np.zeros(3), draw, rng, 1),
    lambda rng: list(train(S, NETWORK, draw, rng, 1)),
    lambda rng: ledger(S, half, X, rng),
    lambda rng: elbo.first_form_terms(S, half, X, rng),
    lambda rng: toy("moons").sample(rng, 3), lambda rng: toy("checkerboard").sample(rng, 3)])
def test_a_seed_is_no_generator(call):
    with pytest.raises(ValueError) as error:
        call(0)
    one_sentence(error, "rng = 0", "np.random.default_rng(0)")
    for wrong in (None, np.random, np.random.RandomState(0), X):  # none of them draws as it should
        with pytest.raises(ValueError) as error:
            call(wrong)
        one_sentence(error, "rng = ", "np.random.default_rng(")


@pytest.mark.parametrize("call", [
    lambda model: final_sample(ancestral_sampling(S, model, X, RNG)),
    lambda model: final_sample(ddim_sampling(S, model, X)),
    lambda model: ledger(S, model, X, RNG), lambda model: simple_loss(S, model, X, 1, X),
    lambda model: elbo.first_form_terms(S, model, X, RNG)])
def test_a_network_is_no_denoiser(call, run):
    for model in (NETWORK, run):
        with pytest.raises(ValueError) as error:
            call(model)
        one_sentence(error, f"type {type(model).__name__}", "denoiser(schedule, network, weights)")


@pytest.mark.parametrize("choices, mentions", [
    (dict(lr=1e-3), ["lr = 0.001", "nearest is learning_rate"]),
    (dict(step=3), ["step = 3", "nearest is steps"]),
    (dict(epochs=3), ["nearest is steps"]),
    (dict(optimizer="adam"), ["nearest is optimiser"]),
    (dict(betas=BETAS), ["nearest is schedule"]),
    (dict(batch_size=3), ["nearest is batch"]),
    (dict(timesteps=3), ["nearest is T"]),
    (dict(colour="red"), ["colour = 'red'", "there are schedule, T"]),
    (dict(width=64), ["network=dict(width=64)"]),
    (dict(network=dict(widht=64)), ["widht = 64", "nearest is width"]),
    (dict(network=dict(inner_blocks=2)), ["inner_blocks = 2", "width, depth"]),
    (dict(network=64), ["network = 64", "network=dict(width=…"]),
    (dict(steps=1e3), ["steps = 1000.0", "whole number"]),
    (dict(steps=np.arange(9)), ["shape (9,)", "a number"]),
    (dict(learning_rate="1e-3"), ["learning_rate = '1e-3'"]),
    (dict(ema_decay="high"), ["ema_decay = 'high'"]),
    (dict(recipe="worst"), ["recipe = 'worst'", "best, ddpm"]),
    (dict(schedule="lineer"), ["schedule = 'lineer'", "linear", "list"]),
    (dict(schedule="custom"), ["schedule = 'custom'", "list"]),
    (dict(schedule=BETAS), ["T = 6", "4 betas"]),
    (dict(schedule=[0.1, 2.0], T=None), ["beta_2 = 2"]),
    (dict(schedule="missing.csv", T=None), ["missing.csv", "No such file"]),
    (dict(steps=True), ["steps = True"]),
    (dict(seed="0"), ["seed = '0'"]),
    (dict(data="points"), ["'points'", "moons"]),
    (dict(data=POINTS[:3]), ["3", "4 or more"]),
])
def test_a_setting_that_is_refused(choices, mentions):
    with pytest.raises(ValueError) as error:
        fit(**choices)
    one_sentence(error, *mentions)


def test_start_refuses_a_setting_too():
    with pytest.raises(ValueError, match="nearest is learning_rate"):
        runs.start(runs.open_data("moons"), lr=1e-3)


def test_a_size_of_the_network_replaces_only_itself():
    recipe = settings.RECIPES["best"]["points"]["network"]
    started, _ = runs.start(runs.open_data("moons"), network=dict(width=8))
    assert started.settings["network"] == {**recipe, "width": 8}


def test_a_run_that_is_finished_and_other_folders(run, run_of_images, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    run.save(tmp_path / "run")
    changed = run._replace(array=run.array + 1)
    for call, mentions in [
            (lambda: run.fit(), ["steps = 12", "more"]),
            (lambda: run.fit(steps=12), ["steps = 12", "more"]),
            (lambda: run.fit(steps=20, minutes=1), ["one of the two"]),
            (lambda: run.fit(minutes=1e-9), ["minutes = 1e-09", "more"]),
            (lambda: run.fit(steps="20"), ["steps = '20'"]),
            (lambda: run_of_images.save(tmp_path / "run"), ["another run", "shutil.rmtree"]),
            (lambda: run.save(tmp_path), ["other files", "new or an empty folder"]),
            (lambda: run.save(tmp_path / "notes.txt"), ["notes.txt", "folder"]),
            (lambda: fit(folder=tmp_path / "run"), ["after 12 steps", "load_run"]),
            (lambda: changed.save(tmp_path / "new"), ["not what the run was trained on"]),
            (lambda: changed.fit(steps=20), ["not what the run was trained on"]),
            (lambda: tinyddpm.fit(run), ["data = Run(", "run.fit("]),
            (lambda: tinyddpm.load_run(tmp_path), ["settings.json"]),
            (lambda: run.sample(0), ["n = 0"]), (lambda: run.sample(2.5), ["n = 2.5"]),
            (lambda: run.sample(10 ** 9), ["n = 1000000000"]),
            (lambda: run.ledger(IMAGES), ["(8, 8)", "(2,)"]),
            (lambda: run_of_images.ledger(IMAGES / 255), ["float64"])]:
        with pytest.raises(ValueError) as error:
            call()
        one_sentence(error, *mentions)


def test_samples_that_are_not_finite(run):
    state = run.state._replace(ema=np.full_like(run.state.ema, 1e30))
    with pytest.raises(ValueError, match="diverged"):
        run._replace(state=state).sample(3)
