"""One small call of each function: T = 1, an image, a t for each item, a batch of three.

A slip of shape is told at once, and by its name.  The laws of section J use the same calls.
"""
import numpy as np
from implementation import INTERFACE, Missing
from verdict import Violation

IMAGE, B = (2, 4, 1), 3  # a column of t that is forgotten does not broadcast against these


def slope(x, t):
    """A denoiser."""
    return 0.3 * x


class Call:
    """The arguments of one call: (name, beta, t, …) of the interface, by the parameter's name.

    beta: the schedule; t: a time for each item; rows: the items of the batch; unit: 1 or 0, for
    arrays of ones and zeros.
    """

    def __init__(self, beta, t, seed=0, rows=slice(None), unit=None):
        rng, T = np.random.default_rng(0), len(beta)
        x = rng.standard_normal((6, B, *IMAGE))[:, rows]
        if unit is not None:  # x_0 and x_t are 1 and the rest 0, or the other way round
            x = np.broadcast_to(np.reshape([unit] * 2 + [1.0 - unit] * 4, (6, 1, 1, 1, 1)), x.shape)
        t = np.asarray(t)
        t = t[rows] if t.ndim else t
        s = np.maximum(t - 1, 1) if T > 1 else t
        positive = 0.5 + abs(x)
        self.T, self.items = T, len(x[0])
        self.arguments = {
            "beta": np.array(beta), "times": np.arange(1, T + 1), "t": t, "s": s,
            "x_0": x[0], "x_t": x[1], "x_T": x[1], "x_prev": x[1], "x_s": x[1], "eps": x[2],
            "eps_hat": x[3], "z": x[3], "given": x[4], "known": x[5] > 0, "score": x[2],
            "v": x[2] if T else None, "mean_1": x[0], "var_1": positive[1], "mean_2": x[2],
            "var_2": positive[3], "mean": x[2], "var": positive[4], "variance": "beta",
            "eta": 0.5, "nats": 30.0, "dimensions": 8, "denoiser": slope, "network": slope,
            "rng": np.random.default_rng(seed), "ema": x[0], "weights": x[1], "decay": 0.9,
            "step": 5, "n": 3, "dim": 8}

    def of(self, name):
        """The arguments for the function `name`, in its order."""
        values = dict(self.arguments)
        if name in ("learned_variance", "respaced_variance"):
            values["v"] = np.cos(values["v"]) ** 2
        if name in ("linear_beta", "cosine_schedule"):
            values["T"] = 50
        elif name in ("draw_times", "ddim_times"):
            values["T"] = 20
        if name == "decoder_log_prob":
            values["x_0"] = 2 * np.round(127.5 * (np.tanh(values["x_0"]) + 1)) / 255 - 1
        if name in ONE_TIME:
            values["t"] = int(np.max(values["t"]))
            values["s"] = values["t"] - 1
        if name == "respaced_variance":
            values["t"] = np.full(self.items, self.T)
        if name == "time_embedding":
            values["t"] = values["t"] * np.ones(self.items, int)
        return [values[parameter] for parameter in PARAMETERS[name]]

    def shape(self, name):
        """The shapes that may come back: of each part, or None for any."""
        x, T = self.arguments["x_0"].shape, self.T
        return {
            "linear_beta": (50,), "cosine_schedule": ((50,), (51,)), "alpha_bar": (T + 1,),
            "one_minus_alpha_bar": (T + 1,), "log_snr": (T,), "respace": ((T,), (T,)),
            "q_step": (x, x), "q_marginal": (x, x), "q_transition": (x, x), "q_posterior": (x, x),
            "p_step": (x, x), "simple_weights": (T,), "draw_times": (3,), "ddim_times": (3,),
            "time_embedding": (self.items, 8), **dict.fromkeys(NUMBERS, ()),
            **dict.fromkeys(PER_ITEM, (self.items,))}.get(name, x)


def parameters(name):
    """The parameters of a function of the interface, without those that have a default."""
    import interface
    code = getattr(interface, name)
    known = code.__code__.co_varnames[:code.__code__.co_argcount]
    return known[:len(known) - len(code.__defaults__ or ())]


PARAMETERS = {name: parameters(name) for name in INTERFACE}
NUMBERS = ["bits_per_dim", "density_bits_per_dim", "simple_loss", "v_loss", "vlb_loss", "ema_decay"]
PER_ITEM = ["kl", "prior_term", "step_term", "ledger_total", "decoder_log_prob",
            "continuous_log_prob"]
ONE_TIME = ["sampler_step", "sample", "ddim_step"]
FROM_TWO = ["step_term", "q_transition", "respaced_variance", "vlb_loss"]  # t ≥ 2
LONG, SHORT = (0.1, 0.3, 0.2, 0.4), (0.3,)


def check_shape(name, result, shape):
    """A Violation where the result has another shape; a Gaussian's parts may broadcast to x."""
    gaussian = isinstance(shape, tuple) and shape and isinstance(shape[0], tuple)
    if gaussian and not (isinstance(result, tuple) and len(result) == 2):
        raise Violation(f"{name} returned one value: it returns a pair")
    parts = list(zip(result, shape)) if gaussian else [(result, shape)]
    for part, wanted in parts:
        if isinstance(part, tuple):
            raise Violation(f"{name} returned {len(part)} values, not one")
        try:
            fits = np.broadcast_shapes(part.shape, wanted) == wanted
        except ValueError:
            fits = False
        exact = part.shape == wanted or (len(wanted) > 2 and fits and part.ndim in (0, len(wanted)))
        if not exact and not (wanted == () and part.size == 1):
            hint = ""
            if len(wanted) > 2:
                hint = "; a t for each item, (B,), is a column against x: (B, 1, …)"
            raise Violation(f"{name} returned the shape {part.shape} where {wanted} belongs{hint}")
        if not np.isfinite(part).all():
            raise Violation(f"{name} returned {part.flat[np.argmin(np.isfinite(part))]}")


def smoke(ddpm):
    """{function: sentence} of what goes wrong in small calls."""
    slips = {}
    for name in INTERFACE:
        if not ddpm.has(name):
            continue
        situations = [("T = 4", Call(LONG, [4, 2, 3]))]
        if "beta" in PARAMETERS[name] and name not in FROM_TWO:
            situations.insert(0, ("T = 1", Call(SHORT, [1, 1, 1])))
        for situation, call in situations:
            try:
                result = getattr(ddpm, name)(*call.of(name))
                check_shape(name, result, call.shape(name))
            except Missing:
                continue
            except (Violation, ValueError) as error:
                slips[name] = f"{error} (at {situation}, for images (3, 2, 4, 1))"
                break
    return slips


# Float64 or float32?

def is_single(ddpm):
    """Whether it computes in float32: a result is float32, or it has a float32's digits.

    For arguments of ones and zeros a function returns a number of its tables, or a root of one.
    Numbers of 12 to 24 binary digits are a sign of float32: of float64 one in 2^29 is as short.
    """
    if ddpm.single is None:
        found = [short(part) for name in INTERFACE if ddpm.has(name) for unit in (1.0, 0.0)
                 for part in unit_results(ddpm, name, unit)]
        ddpm.single = ddpm.single or any(found)
    return ddpm.single


def unit_results(ddpm, name, unit):
    try:
        return results(ddpm, name, Call(LONG, [4, 2, 3], unit=unit)) or []
    except Violation:
        return []


def short(array):
    """Whether all its numbers have 24 binary digits or fewer, and some more than 12."""
    numbers = np.ravel(np.asarray(array, float))[:64]
    digits = np.frexp(numbers[np.isfinite(numbers)])[0]
    return bool((digits * 2 ** 24 % 1 == 0).all() and (digits * 2 ** 12 % 1 != 0).any())


# What section J asks of every function.

def every_function(ddpm, but=()):
    """The names of the functions that are there and do not slip."""
    names = [name for name in INTERFACE if ddpm.has(name) and name not in but]
    return [name for name in names if name not in ddpm.slips]


def results(ddpm, name, call):
    """The parts of what the function returns, a list; None if it declines the arguments."""
    try:
        result = getattr(ddpm, name)(*call.of(name))
    except Missing:
        return None
    except ValueError as error:
        raise Violation(f"{name} raised {error}") from None
    return list(result) if isinstance(result, tuple) else [result]


def for_each_function(ddpm, names, check):
    """check(name) → a sentence, or "" if all is well; all sentences together are one Violation."""
    if not names:
        raise Missing("function that this could be asked of")
    found = [sentence for name in names if (sentence := check(name))]
    if found:
        raise Violation("; ".join(found))
