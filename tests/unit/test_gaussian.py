"""Gaussians: density, entropy, gradients, shapes and dtypes."""
import numpy as np
import pytest
from autograd import elementwise_grad
from autograd.test_util import check_grads

from tinyddpm import Gaussian
from tinyddpm.gaussian import noise_like, standard_gaussian


def test_density_integrates_to_one_and_entropy_is_its_mean_log():
    gaussian = Gaussian(np.full((20001, 1), 0.7), np.array([[0.3]]))
    x, width = np.linspace(-9, 9, 20001)[:, None], 18 / 20000
    density = np.exp(gaussian.log_prob(x))
    assert density.sum() * width == pytest.approx(1, abs=1e-12)
    entropy = -(density * np.log(np.maximum(density, 1e-300))).sum() * width
    assert gaussian.entropy()[0] == pytest.approx(entropy, abs=1e-12)
    standard = Gaussian(np.zeros((1, 3)), np.ones(()))
    assert standard.entropy() == pytest.approx(1.5 * (1 + np.log(2 * np.pi)))


@pytest.mark.parametrize("a, b", [((2, 1), (2,)), ((2,), (2, 1)), ((2, 3), (2, 1))])
def test_shapes_that_differ_are_refused_whichever_is_larger(a, b):
    with pytest.raises(ValueError, match="must be the same"):
        Gaussian(np.zeros(a), np.ones(())).log_prob(np.zeros(b))


def test_reparameterised_draw_passes_gradients():
    """∂z/∂μ = 1 and ∂z/∂σ = ε (5.1.1)."""
    eps, mean, std = np.array([[0.5, -2.0]]), np.zeros((1, 2)), np.full((1, 2), 2.0)
    by_mean = elementwise_grad(lambda mean: Gaussian(mean, std ** 2).sample(eps))
    by_std = elementwise_grad(lambda std: Gaussian(mean, std ** 2).sample(eps))
    assert by_mean(mean) == pytest.approx(1) and by_std(std) == pytest.approx(eps)


def test_gradients_of_kl():
    rng = np.random.default_rng(1)
    m, n = rng.standard_normal((2, 2, 3))
    v, w = rng.random((2, 2, 3)) + 0.1

    def kl(m, v, n, w):
        return Gaussian(m, v).kl(Gaussian(n, w))

    check_grads(kl, (0, 1, 2, 3), modes=["rev"], order=2)(m, v, n, w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_normals_have_the_shape_and_dtype_they_are_like(dtype):
    x = np.ones((3, 2), dtype)
    gaussian, eps = standard_gaussian(x), noise_like(np.random.default_rng(0), x)
    assert gaussian.mean.dtype == gaussian.var.dtype == eps.dtype == dtype
    assert gaussian.mean.shape == eps.shape == (3, 2)
    assert (gaussian.mean == 0).all() and (gaussian.var == 1).all()
