"""B. The forward process.  Functions only: no oracle; one statistical law."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, betas, cases, column, tables


@given(betas())
def test_marginal_is_the_composition_of_steps(ddpm, beta):
    """t steps together are the marginal: √ᾱ_t and 1 − ᾱ_t (Ho 2 and 4, Luo 61–70).

    Step by step, mean ← √α_t·mean and variance ← α_t·variance + β_t, from 1 and 0.
    """
    one = np.ones((1, 1))
    mean, var = 1.0, 0.0
    for t in range(1, len(beta) + 1):
        step_mean, step_var = ddpm.q_step(beta, one, t)
        gain = float(np.squeeze(step_mean))
        mean, var = gain * mean, gain ** 2 * var + float(np.squeeze(step_var))
        if t in (1, 2, len(beta) // 2, len(beta)):
            whole_mean, whole_var = ddpm.q_marginal(beta, one, t)
            assert_close(whole_mean, mean, 1e-12, abs(mean), f"√ᾱ_{t} = ∏ √α")
            assert_close(whole_var, var, 1e-12, var, f"1 − ᾱ_{t} = the steps' noise, added up")


@given(cases())
def test_draw_is_the_marginal_with_its_noise_outside(ddpm, case):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, each item with its own t (5.1.2)."""
    log_ab, om, _ = tables(case.beta)
    signal, noise = (column(c[case.t], case.x_0) for c in (np.exp(log_ab / 2), np.sqrt(om)))
    x_t = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    kept, added = signal * case.x_0, noise * case.eps
    assert_close(x_t, kept + added, 1e-12, abs(kept) + abs(added), "x_t")


@given(cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-4, first_t=2))
def test_transitions_compose(ddpm, case):
    """q(x_t|x_s) has the gain √(ᾱ_t/ᾱ_s), and adds its variance to what is left (5.1.2).

    (ᾱ_t/ᾱ_s)(1 − ᾱ_s) + its variance = 1 − ᾱ_t.
    """
    log_ab, om, _ = tables(case.beta)
    t, one = int(case.t[0]), np.ones((1, 1))
    for s in {1, t // 2, t - 1}:
        if not 1 <= s < t:
            continue
        mean, var = (float(np.squeeze(a)) for a in ddpm.q_transition(case.beta, one, s, t))
        gain = np.exp((log_ab[t] - log_ab[s]) / 2)
        assert_close(mean, gain, 1e-11, mean, "gain of q(x_t | x_s)")
        noise = mean ** 2 * om[s] + var
        assert_close(noise, om[t], 1e-11, om[t], "the noise of x_s, and what is added")
        assert_close(mean ** 2 + var, 1, 1e-11, law="unit variance stays unit variance")


@given(cases())
def test_a_batch_is_its_items(ddpm, case):
    """Each item is noised by its own t and ε alone, whatever else is in the batch."""
    together = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    posterior = ddpm.q_posterior(case.beta, together, case.x_0, case.t)[0]
    for i in range(len(case.t)):
        alone = ddpm.q_sample(case.beta, case.x_0[i:i + 1], case.t[i:i + 1], case.eps[i:i + 1])
        assert_close(together[i], alone[0], 1e-14, abs(alone[0]) + 1e-300, f"item {i} of the draw")
        x_t, x_0, t = together[i:i + 1], case.x_0[i:i + 1], case.t[i:i + 1]
        alone = ddpm.q_posterior(case.beta, x_t, x_0, t)[0][0]
        assert_close(posterior[i], alone, 1e-14, abs(alone) + 1e-300, f"item {i} of the posterior")


@given(cases(), st.sampled_from(["beta", "beta_tilde"]))
def test_inputs_are_left_alone(ddpm, case, variance):
    """A call changes neither its inputs nor a table."""
    copies = [a.copy() for a in case]
    first = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    ddpm.q_posterior(case.beta, first.copy(), case.x_0, case.t)
    ddpm.p_step(case.beta, first.copy(), case.t, case.eps, variance)
    for name, before, after in zip(case._fields, copies, case):
        assert (before == after).all(), f"{name} was {before}, and is {after} after the call"
    again = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    assert (again == first).all(), f"the same call gave {first}, and then {again}"


def test_noise_is_independent_and_normal(ddpm):
    """The noise that is drawn inside is i.i.d. N(0, 1) over the batch, dimensions and calls.

    Statistical: fixed seed, 6 standard errors.
    """
    beta, n, rng = np.array([0.36]), 40_000, np.random.default_rng(0)
    x_0, t = np.zeros((n, 2)), np.ones(n, int)
    calls = [ddpm.q_draw(beta, x_0, t, rng) / 0.6 for _ in range(2)]
    noise = np.concatenate(calls, 1)  # (n, 4): two dimensions, two calls
    assert_close(noise.mean(0), 0, 6, 1 / np.sqrt(n), "mean of the noise")
    error = np.sqrt((1 + np.eye(4)) / n)
    assert_close(noise.T @ noise / n, np.eye(4), 6, error, "covariance over dimensions and calls")
    assert_close((noise ** 4).mean(0), 3, 6, np.sqrt(96 / n), "fourth moment, 3 for a normal")
    neighbours = (noise[1:] * noise[:-1]).mean(0)
    assert_close(neighbours, 0, 6, 1 / np.sqrt(n), "covariance of neighbours in the batch")
