"""`muon` against singular value decompositions, and its steps against the recursion written out."""
from typing import Any

import numpy as np
import pytest

from tinyddpm import conv_denoiser
from tinyddpm.images.muon import hidden_matrices, muon, orthogonalise
from tinyddpm.network.weights import pack, unpack
from tinyddpm.training import adam_in_place, initial_state

NETWORK = conv_denoiser(width=4, inner_blocks=1)
WEIGHTS = NETWORK.init(np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_orthogonalised_matrix_is_that_of_the_svd(shape: tuple[int, int], dtype: Any) -> None:
    matrix = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    U, _, Vt = np.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix)
    assert found.dtype == dtype
    assert found == pytest.approx(U @ Vt, abs=1e-4 if dtype == np.float32 else 1e-10)


def test_a_zero_matrix_stays_zero() -> None:
    """It is the gradient of a layer before one that outputs zero at first."""
    assert not orthogonalise(np.zeros((7, 3), np.float32)).any()


@pytest.mark.parametrize("decades", [1, 3, 5, 20])
@pytest.mark.parametrize("shape", [(288, 32), (64, 200)])
def test_no_singular_value_is_above_one(shape: tuple[int, int], decades: int) -> None:
    """Not even where float32 has lost a direction; where it has not, the singular value is one."""
    rng, n = np.random.default_rng(0), min(shape)
    U, V = (np.linalg.qr(rng.standard_normal((side, n)))[0] for side in shape)
    s = 10 ** np.linspace(0, -decades, n)
    matrix = ((U * s) @ V.T).astype(np.float32)
    found = np.linalg.svd(orthogonalise(matrix), compute_uv=False)
    assert found.max() < 1.1
    assert (found > 0.9).sum() >= (s > 1e-3).sum()


def test_hidden_matrices_are_in_their_places() -> None:
    """The largest, a convolution (3, 3, 8, 8), and the first and last layers, which are none."""
    vector = pack(WEIGHTS)
    found = [vector[place].reshape(rows, columns)
             for place, rows, columns in hidden_matrices(NETWORK.layout)]
    expected = WEIGHTS["middle"][0]["in"]["w"].reshape(72, 8)
    assert sum(np.array_equal(matrix, expected) for matrix in found) == 1
    for name in ("first", "last"):
        w = WEIGHTS[name]["w"].reshape(-1, WEIGHTS[name]["w"].shape[-1])
        assert not any(np.array_equal(matrix, w) for matrix in found)


def test_muon_is_adam_but_for_the_hidden_matrices() -> None:
    """A hidden matrix follows the recursion, which is written out in float64."""
    state, rng = initial_state(NETWORK, np.random.default_rng(0)), np.random.default_rng(1)
    step, by_adam = muon(NETWORK.layout), state
    gradients = [rng.standard_normal(state.weights.shape).astype(np.float32) for _ in range(3)]
    for g in gradients:
        previous, before = state, state.weights.copy()
        state, by_adam = step(state, g, 0.01), adam_in_place(by_adam, g, 0.01)
        assert (previous.weights == before).all()  # a State that was handed over never changes
    assert state.weights.dtype == np.float32
    ours, adams = (unpack(s.weights, NETWORK.layout) for s in (state, by_adam))

    for name in ("first", "last"):
        assert (ours[name]["w"] == adams[name]["w"]).all()
    assert (ours["time"][1]["w"] == adams["time"][1]["w"]).all()
    block, adams_block = ours["middle"][0], adams["middle"][0]
    assert (block["time"]["w"] != adams_block["time"]["w"]).any()
    assert (block["in"]["b"] == adams_block["in"]["b"]).all()

    assert block["in"]["w"].shape == (3, 3, 8, 8)
    w = WEIGHTS["middle"][0]["in"]["w"].astype(float).reshape(72, 8)
    m = np.zeros((72, 8))
    for gradient in gradients:
        g = unpack(gradient, NETWORK.layout)["middle"][0]["in"]["w"].astype(float).reshape(72, 8)
        m = 0.95 * m + 0.05 * g
        U, _, Vt = np.linalg.svd(0.95 * m + 0.05 * g, full_matrices=False)
        w = w - 0.01 * 0.2 * np.sqrt(72) * U @ Vt
    assert block["in"]["w"].reshape(72, 8) == pytest.approx(w, abs=1e-5)
