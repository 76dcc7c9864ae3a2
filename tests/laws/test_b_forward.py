"""B. The forward process.  Functions only: no oracle, no chance."""
import numpy as np
from draws import assert_close, betas, cases, column, tables
from hypothesis import given


@given(betas())
def test_marginal_is_the_composition_of_steps(ddpm, beta):
    """Chapman–Kolmogorov: m ← √α_t·m, v ← α_t·v + β_t from (1, 0) gives √ᾱ_t and 1 − ᾱ_t (Ho 4, Luo 61–70)."""
    one = np.ones((1, 1))
    mean, var = 1.0, 0.0
    for t in range(1, len(beta) + 1):
        step_mean, step_var = ddpm.q_step(beta, one, t)
        gain = float(np.squeeze(step_mean))
        mean, var = gain * mean, gain ** 2 * var + float(np.squeeze(step_var))
        if t in (1, 2, len(beta) // 2, len(beta)):
            whole_mean, whole_var = ddpm.q_marginal(beta, one, t)
            assert_close(whole_mean, mean, 1e-12, abs(mean), f"√ᾱ_{t} = ∏ √α")
            assert_close(whole_var, var, 1e-12, var, f"1 − ᾱ_{t} = what the steps' noise adds up to")


@given(cases())
def test_draw_is_the_marginal_with_its_noise_outside(ddpm, case):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, each item with its own t (5.1.2)."""
    log_ab, om, _ = tables(case.beta)
    signal, noise = (column(c[case.t], case.x_0) for c in (np.exp(log_ab / 2), np.sqrt(om)))
    x_t = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    assert_close(x_t, signal * case.x_0 + noise * case.eps, 1e-12, abs(signal * case.x_0) + abs(noise * case.eps), "x_t")
