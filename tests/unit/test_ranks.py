"""Several processes by MPI compute what one does.  Skipped where mpiexec or mpi4py is missing."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tinyddpm.app import ranks

MPIEXEC = ranks.mpiexec()
needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason="pip install 'tinyddpm[mpi]'")
SETTINGS = ["--data", "mnist", "--steps", "12", "--batch", "9", "--width", "4", "--depth", "1",
            "--T", "6", "--save-every", "0.01"]
SCRIPT = """
import sys
import numpy as np
from autograd import value_and_grad
import autograd.numpy as anp
from tinyddpm.app import ranks

rng = np.random.default_rng(0)
weights, x, t = rng.standard_normal(50), rng.standard_normal((7, 50)), np.arange(7)
def loss(weights, x, t):
    return anp.mean(anp.tanh(x @ weights + t) ** 2)
def denoiser(x, t):
    return np.tanh(x) * np.reshape(t, (-1, 1)), x ** 2
value, gradient = ranks.shared_gradient(value_and_grad(loss))(weights, x, t)
eps, fraction = ranks.shared_denoiser(denoiser)(x, t)
whole = ranks.shared_denoiser(denoiser)(x[:1], 3)[0]
if ranks.rank() == 0:
    np.savez(sys.argv[1], value=value, gradient=gradient, eps=eps, fraction=fraction, whole=whole)
"""


def mpiexec(n, *command, **options):
    pytest.importorskip("mpi4py", reason="pip install 'tinyddpm[mpi]'")
    return subprocess.run([MPIEXEC, "-n", str(n), sys.executable, *map(str, command)],
                          capture_output=True, text=True, timeout=120, **options)


def tinyddpm(n, *arguments):
    if n == 1:
        command = [sys.executable, "-m", "tinyddpm", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)
    return mpiexec(n, "-m", "tinyddpm", *arguments)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run that one process has trained."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert tinyddpm(1, "train", *SETTINGS, "--out", folder).returncode == 0
    return folder


def checkpoint(folder):
    return (folder / "checkpoint.npz").read_bytes()


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_parts_of_the_ranks_are_the_whole(n, k, monkeypatch):
    monkeypatch.setattr(ranks, "ranks", lambda: k)
    parts = [ranks.part(n, of) for of in range(k)]
    assert np.concatenate([np.arange(n)[rows] for rows in parts]).tolist() == list(range(n))
    sizes = [rows.stop - rows.start for rows in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("rows", [slice(0, 7), slice(0, 3), slice(3, 7), slice(2, 5), slice(4, 5)])
def test_rows_of_a_batch_have_the_noise_that_they_have_in_its_halves(rows):
    def halves():
        return np.random.default_rng(0).spawn(2)
    first, second = halves()
    whole = np.concatenate([first.standard_normal((3, 2), np.float32),
                            second.standard_normal((4, 2), np.float32)])
    draws = ranks.RowsOf(rows, 7, halves())
    size = rows.stop - rows.start
    assert (draws.standard_normal((size, 2), np.float32) == whole[rows]).all()


@needs_mpi
@pytest.mark.parametrize("n", [2, 3])
def test_gradient_and_denoiser_of_several_ranks_are_those_of_one(n, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([sys.executable, tmp_path / "script.py", tmp_path / "1.npz"], check=True)
    done = mpiexec(n, tmp_path / "script.py", tmp_path / "n.npz")
    assert done.returncode == 0, done.stderr
    one, several = np.load(tmp_path / "1.npz"), np.load(tmp_path / "n.npz")
    for name in one:
        assert several[name] == pytest.approx(one[name], rel=1e-13, abs=1e-14), name


@needs_mpi
def test_two_ranks_train_to_the_bytes_of_one(alone, tmp_path):
    done = tinyddpm(2, "train", *SETTINGS, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert checkpoint(tmp_path / "run") == checkpoint(alone)
    assert done.stdout.count("4500 to train on") == 1  # rank 0 alone prints


@needs_mpi
def test_samples_and_ledger_do_not_depend_on_the_number_of_ranks(alone, tmp_path):
    outputs = []
    for n in (1, 3):
        out = tmp_path / f"{n}.npy"
        assert tinyddpm(n, "sample", alone, "--n", 7, "--out", out).returncode == 0
        ledger = tinyddpm(n, "elbo", alone, "--n", 5).stdout
        outputs.append((np.load(out).tolist(), ledger))
    assert outputs[0] == outputs[1] and "bits/dim" in outputs[0][1]


@needs_mpi
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_others_and_nothing_is_lost(tmp_path, victim):
    """The last checkpoint is whole, and one process resumes it to the bytes of one never killed."""
    pytest.importorskip("mpi4py")
    folder, settings = tmp_path / "run", list(SETTINGS)
    settings[settings.index("12")] = "100000"
    command = [MPIEXEC, "-n", "2", sys.executable, "-c", f"""
import os, sys
from tinyddpm.app import ranks
from tinyddpm.app.command_line import main
print(os.getpid(), ranks.rank(), file=open(r"{tmp_path}/" + str(ranks.rank()), "w"), flush=True)
main(sys.argv[1:])
""", "train", *settings, "--out", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not (folder / "settings.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(int((tmp_path / str(victim)).read_text().split()[0]), signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode != 0
    step = int(np.load(folder / "checkpoint.npz")["step"])
    settings = json.loads((folder / "settings.json").read_text())
    total = step + 3
    (folder / "settings.json").write_text(json.dumps({**settings, "steps": total}))
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    assert tinyddpm(2, "train", "--resume", folder).returncode == 0
    assert tinyddpm(1, "train", "--resume", whole).returncode == 0
    assert checkpoint(folder) == checkpoint(whole)


@needs_mpi
def test_a_mistake_is_told_once(alone):
    done = tinyddpm(2, "train", *SETTINGS, "--out", alone)
    assert done.returncode == 2
    assert done.stderr.count("exists already") == 1


@needs_mpi
def test_a_rank_that_fails_alone_ends_the_others_with_a_sentence(tmp_path):
    done = mpiexec(2, "-c", """
from tinyddpm.app import ranks
from tinyddpm.app.console import one_sentence_for_mistakes
with one_sentence_for_mistakes():
    if ranks.rank() == 1:
        raise ValueError("only here")
    ranks.wait_for_all()
""")
    assert done.returncode == 2
    assert "tinyddpm: only here (rank 1 of 2)" in done.stderr


def test_mpiexec_without_mpi4py_gets_one_sentence():
    code = "import sys; sys.modules['mpi4py'] = None; " \
           "from tinyddpm.app.command_line import main; main(['info', 'nothing'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PMI_SIZE": "2"})
    assert done.returncode == 2
    assert done.stderr.startswith("tinyddpm: mpiexec started several processes, which need mpi4py")
