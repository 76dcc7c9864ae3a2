"""J. What holds for every function: it changes nothing, forgets nothing, mixes up no items."""
import numpy as np
from hypothesis import strategies as st
from smoke import LONG, PARAMETERS, Call, every_function, for_each_function, results
from strategies import for_all

OTHER = (0.1, 0.2, 0.3, 0.4)  # the same T, β_1, β_T and product as LONG, in another order
NEAR = 1e-4  # of one result to the same result; it may be computed in another order, in float32
DRAWN = ["q_draw", "sample", "ledger_total", "draw_times", "inpaint"]


def distance(one, other):
    """The largest relative difference of two lists of arrays."""
    return max(float(np.max(abs(a - b) / (1e-300 + abs(a) + abs(b)))) if a.size else 0.0
               for a, b in zip(one, other))


def test_no_function_changes_its_arguments(ddpm):
    """The caller's arrays are as they were before the call; the average ema may be updated."""
    def check(name):
        call = Call(LONG, [4, 2, 3])
        arguments = call.of(name)
        copies = [np.copy(a) for a in arguments]
        call.of = lambda name: arguments
        results(ddpm, name, call)
        for parameter, before, after in zip(PARAMETERS[name], copies, arguments):
            if isinstance(after, np.ndarray) and parameter != "ema":
                if not np.array_equal(before, after):
                    return f"{name} changes its argument {parameter}"
        return ""

    for_each_function(ddpm, every_function(ddpm), check)


def test_the_same_call_gives_the_same(ddpm):
    """A call leaves no trace; and the same state of the generator gives the same noise."""
    def check(name):
        first, again = (results(ddpm, name, Call(LONG, [4, 2, 3])) for _ in range(2))
        different = first and distance(first, again) > 0
        return f"{name} gives another result for the same arguments" if different else ""

    for_each_function(ddpm, every_function(ddpm), check)


def test_another_generator_gives_another_noise(ddpm):
    """What is drawn comes from rng: other states, other noise; and one call advances it."""
    def check(name):
        one, other = (results(ddpm, name, Call(LONG, [4, 2, 3], seed)) for seed in (0, 7))
        if one and distance(one, other) == 0:
            return f"{name} draws the same for another rng"
        call = Call(LONG, [4, 2, 3])
        first, second = results(ddpm, name, call), results(ddpm, name, call)
        if first and distance(first, second) == 0:
            return f"{name} draws the same in its second call with one rng"
        return ""

    for_each_function(ddpm, [name for name in every_function(ddpm) if name in DRAWN], check)


def test_schedules_are_told_apart(ddpm):
    """Two schedules with the same T, β_1, β_T and ᾱ_T give different results, in any order."""
    def check(name):
        first = results(ddpm, name, Call(LONG, [2, 2, 2]))
        other = results(ddpm, name, Call(OTHER, [2, 2, 2]))
        again = results(ddpm, name, Call(LONG, [2, 2, 2]))
        if first is None or other is None:
            return ""
        if distance(first, other) == 0:
            return f"{name} gives the same for β = {LONG} and {OTHER}"
        return f"{name} remembers β = {OTHER}" if distance(first, again) > 0 else ""

    names = every_function(ddpm, but=["prior_term", "respaced_variance"])  # they see ᾱ_T alone
    for_each_function(ddpm, [name for name in names if "beta" in PARAMETERS[name]], check)


BY_ITEM = ["q_step", "q_marginal", "q_transition", "q_sample", "q_posterior", "x_0_from_eps",
           "eps_from_x_0", "v_from_eps", "eps_from_v", "score_from_eps", "eps_from_score", "p_step",
           "p_mean_from_x_0", "learned_variance", "respaced_variance", "kl", "prior_term",
           "step_term", "decoder_log_prob", "continuous_log_prob", "to_levels", "sampler_step",
           "ddim_step", "ddim_sample", "ddim_encode"]


@for_all(row=st.integers(0, 2))
def test_each_item_is_by_itself(ddpm, row):
    """An item's result depends on that item alone and its own t, whatever else is in the batch."""
    def check(name):
        t = [3, 3, 3] if name in ("sampler_step", "ddim_step") else [4, 2, 3]
        together = results(ddpm, name, Call(LONG, t))
        alone = results(ddpm, name, Call(LONG, t, rows=slice(row, row + 1)))
        if together is None or alone is None:
            return ""
        together, alone = (list(map(np.atleast_1d, parts)) for parts in (together, alone))
        own = [part[row:row + 1] if len(part) == 3 else part for part in together]
        if distance(own, alone) > NEAR:
            return f"{name} of item {row} in a batch is not what it is alone"
        return ""

    for_each_function(ddpm, [name for name in every_function(ddpm) if name in BY_ITEM], check)


@for_all(t=st.integers(2, 4))
def test_one_t_is_a_t_for_each_item(ddpm, t):
    """An int t means the same as an array that holds it for each item."""
    def check(name):
        if "t" not in PARAMETERS[name]:
            return ""
        one, each = (results(ddpm, name, Call(LONG, time)) for time in (t, [t, t, t]))
        if one is None or each is None:
            return ""
        parts = [np.broadcast_arrays(a, b) for a, b in zip(one, each)]
        if distance([a for a, _ in parts], [b for _, b in parts]) > NEAR:
            return f"{name} differs for t = {t} and t = [{t}, {t}, {t}]"
        return ""

    for_each_function(ddpm, every_function(ddpm), check)
