"""The forward process: transitions at their two ends, the first posterior, dtypes, refusals."""
import numpy as np
import pytest

from tinyddpm import diffuse, forward, linear, marginal, posterior, transition

SCHEDULE = linear(50)
X = np.random.default_rng(0).standard_normal((3, 2))


def same(a, b):
    """Whether two Gaussians are the same, to round-off."""
    return a.mean == pytest.approx(b.mean, rel=1e-12) and a.var == pytest.approx(b.var, rel=1e-12)


@pytest.mark.parametrize("t", [1, 7, 50, np.array([1, 7, 50])])
def test_a_transition_is_the_step_at_one_end_and_the_marginal_at_the_other(t):
    assert same(transition(SCHEDULE, X, t - 1, t), forward.forward_step(SCHEDULE, X, t))
    assert same(transition(SCHEDULE, X, 0 * t, t), marginal(SCHEDULE, X, t))


def test_the_posterior_of_the_first_step_is_the_point_itself():
    point = posterior(SCHEDULE, X, 1, X + 1)
    assert point.mean == pytest.approx(X + 1, rel=1e-14) and point.var == 0


@pytest.mark.parametrize("s, t, message", [
    (5, 5, "s = 5: smaller than t = 5"), (6, 5, "s = 6"),
    (np.array([1, 2, 9]), 9, "smaller than t"),
    (-1, 3, "t = -1 is outside 0..T = 50"), (0, 51, "t = 51 is outside 1..T = 50")])
def test_a_transition_runs_forward_within_the_chain(s, t, message):
    with pytest.raises(ValueError, match=message):
        transition(SCHEDULE, X, s, t)


def test_shapes_that_would_broadcast_are_refused():
    for function in (lambda x: diffuse(SCHEDULE, X, 3, x), lambda x: posterior(SCHEDULE, X, 3, x)):
        with pytest.raises(ValueError, match=r"\(3, 1\).*\(3, 2\)"):
            function(X[:, :1])


@pytest.mark.parametrize("t", [3, np.array([1, 3, 50])])
def test_the_forward_process_keeps_float32(t):
    x = X.astype(np.float32)
    for gaussian in (forward.forward_step(SCHEDULE, x, t), marginal(SCHEDULE, x, t),
                     transition(SCHEDULE, x, 0 * t, t), posterior(SCHEDULE, x, t, x)):
        assert gaussian.mean.dtype == gaussian.var.dtype == np.float32
    assert diffuse(SCHEDULE, x, t, x).dtype == np.float32
