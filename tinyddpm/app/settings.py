"""The settings of a run: two recipes, what is allowed, and the checks.

A recipe is a complete set of choices, for points and for images; an explicit choice replaces one of
them.  Both recipes have the same network, batch, learning rate, number of steps, and average of the
weights (EMA).

    ddpm    the model of Ho et al. 2020: the linear schedule with T = 1000, a network that predicts
            ε, L_simple, Adam, σ_t² = β_t
    best    the default.  Images: a schedule for 256 grey levels, the prior of each pixel, the bits
            loss, a learned variance, and Muon (see `images`); after the same minutes it reaches
            fewer bits per dimension.  Points: log SNR in T = 100 equal steps, otherwise as ddpm;
            a sample takes a tenth of the time, and −ELBO is higher because of the fewer steps
"""
import math
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..images.schedule import grey_levels
from ..reverse import TO_EPS
from ..schedule import Schedule, cosine, linear, log_snr_uniform

Settings = dict[str, Any]

SCHEDULES: dict[str, Callable[[int], Schedule]] = {
    "linear": linear, "cosine": cosine, "log_snr_uniform": log_snr_uniform,
    "grey_levels": grey_levels}
CUSTOM = "custom"  # the name of a schedule that was given as a list of β; the checkpoint has the β
PREDICTS = (*TO_EPS, "prior")  # "prior": the prior of each pixel, see images/pixels.py
LOSSES = ("simple", "v", "vlb", "hybrid", "bits")
VARIANCES = ("beta", "beta_tilde", "learned")
OPTIMISERS = ("adam", "muon")

FORMAT = 2  # of a run folder; raised when old weights would give another network's output

POINTS: Settings = dict(steps=5000, batch=256, learning_rate=4e-3, ema_decay=0.999,
                        network=dict(width=96, depth=2))
IMAGES: Settings = dict(steps=2000, batch=64, learning_rate=4e-3, ema_decay=0.998,
                        network=dict(width=32, outer_blocks=2, inner_blocks=3))
DDPM: Settings = dict(schedule="linear", T=1000, predicts="eps", variance="beta", loss="simple",
                      optimiser="adam")
RECIPES: dict[str, dict[str, Settings]] = {
    "best": {
        "points": dict(schedule="log_snr_uniform", T=100, predicts="eps", variance="beta",
                       loss="simple", optimiser="adam", **POINTS),
        "images": dict(schedule="grey_levels", T=1000, predicts="prior", variance="learned",
                       loss="bits", optimiser="muon", **IMAGES)},
    "ddpm": {"points": {**DDPM, **POINTS}, "images": {**DDPM, **IMAGES}},
}
KINDS = ("points", "images")
SIZES = {"points": ("width", "depth", "embedding"),  # of a network
         "images": ("width", "outer_blocks", "inner_blocks", "embedding")}

# Names that other programs give to a setting, where spelling does not lead to the name here.
OTHER_NAMES = {"lr": "learning_rate", "rate": "learning_rate", "epochs": "steps",
               "iterations": "steps", "n_iter": "steps", "timesteps": "T", "num_timesteps": "T",
               "beta": "schedule", "betas": "schedule", "ema": "ema_decay", "layers": "network"}

LEAST_TO_HALVE = {"points": 800, "images": 2}  # a smaller batch is not split over two threads

# The largest sizes allowed.  A larger one is a typing error, or from an untrusted settings.json.
MOST_NUMBERS = 2 ** 26  # in a batch, or in the samples drawn at once
MOST = {"T": 10 ** 5, "steps": 10 ** 9, "batch": 10 ** 5, "depth": 1000, "shape": MOST_NUMBERS}
MOST_OF_ALL_OTHERS = 4096


def complete(kind: str, recipe: str, choices: Settings) -> Settings:
    """The recipe's settings for this kind of data, replaced by `choices` where these are not None.

    predicts, loss and variance depend on each other, so a choice of one can change the others:
    a network that predicts "v" takes the v loss, one that predicts "prior" the bits loss, and the
    hybrid loss takes a learned variance.  The losses v and bits set predicts, and another loss sets
    "eps" in place of the recipe's "prior".  The recipe's learned variance becomes beta_tilde if the
    loss cannot train it.
    The sizes of `network` that are not chosen are the recipe's, too.
    ValueError: no such recipe, no such setting.
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe = {recipe!r}: one of {', '.join(RECIPES)}")
    defaults = RECIPES[recipe][kind]
    for name, value in choices.items():
        if isinstance(value, np.ndarray):
            raise ValueError(f"{name} = an array of shape {value.shape}: a setting is a number, a "
                             f"name, or the dict of the network's sizes")
        _check_known(name, value, [*defaults, "minutes"], "setting", SIZES[kind])
    chosen = {name: plain(value) for name, value in choices.items() if value is not None}
    settings = {**defaults, **chosen}
    if isinstance(settings["network"], dict):
        sizes = {name: plain(size) for name, size in settings["network"].items()}
        settings["network"] = {**defaults["network"], **sizes}
    if "predicts" not in chosen:
        settings["predicts"] = _predicts_for(chosen.get("loss"), defaults["predicts"])
    if "loss" not in chosen:
        settings["loss"] = _loss_for(settings["predicts"], chosen.get("variance"))
    if "variance" not in chosen:
        settings["variance"] = _variance_for(settings["loss"], defaults["variance"])
    return settings


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's, which json can write."""
    return value.item() if isinstance(value, np.generic) else value


def _check_known(name: str, value: Any, known: Iterable[str], noun: str,
                 sizes: Iterable[str] = ()) -> None:
    """ValueError, with the nearest name that exists, unless `name` is one of `known`.

    sizes: names that stand inside `network`, where `name` may have been meant for it.
    """
    known = list(known)
    if name in known:
        return
    import difflib  # here, because `import tinyddpm` need not wait for it

    shown = reprlib.repr(value)
    near = difflib.get_close_matches(name, known, 1)
    if OTHER_NAMES.get(name) in known:
        near = [OTHER_NAMES[name]]
    mend = f"there are {', '.join(known)}"
    if name in sizes:
        mend = f"it is a size of the network, network=dict({name}={shown})"
    elif near:
        mend = f"the nearest is {near[0]} ({mend})"
    raise ValueError(f"{name} = {shown}: no {noun} has this name; {mend}")


def _predicts_for(loss: str | None, default: str) -> str:
    if loss == "v":
        return "v"
    if loss == "bits":
        return "prior"
    if loss is not None and default == "prior":
        return "eps"
    return default


def _loss_for(predicts: str, variance: str | None) -> str:
    if predicts == "prior":
        return "bits"
    if variance == "learned":
        return "hybrid"
    return "v" if predicts == "v" else "simple"


def _variance_for(loss: str, default: str) -> str:
    if loss == "hybrid":
        return "learned"
    if loss != "bits" and default == "learned":
        return "beta_tilde"
    return default


def with_current_names(settings: Settings) -> Settings:
    """The settings of an older run folder: "learning_rate" was "rate"; no recipe, no columns."""
    if "rate" in settings:
        settings["learning_rate"] = settings.pop("rate")
    settings.setdefault("recipe", "best")
    settings.setdefault("columns", [])
    return settings


def check_settings(settings: Settings) -> None:
    """ValueError for a setting whose value is not allowed, or not beside the other settings."""
    _check_names(settings)
    _check_integers(settings)
    _check_numbers(settings)
    _check_shift_and_scale(settings)
    _check_combination(settings)


def _check_names(settings: Settings) -> None:
    allowed = {"format": (FORMAT,), "kind": KINDS, "recipe": tuple(RECIPES),
               "schedule": (*SCHEDULES, CUSTOM), "predicts": PREDICTS, "variance": VARIANCES,
               "loss": LOSSES, "optimiser": OPTIMISERS}
    for name, choices in allowed.items():
        if settings[name] not in choices:
            one_of = ", ".join(str(choice) for choice in choices if choice != CUSTOM)
            if name == "schedule":
                one_of += ", or a list or a .npy or .csv file of beta"
            raise ValueError(f"{name} = {settings[name]!r}: one of {one_of}")
    if not isinstance(settings["data"], str):
        raise ValueError(f"data = {settings['data']!r}: the name of a data set")
    columns = settings["columns"]
    is_names = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    if not is_names or len(columns) not in (0, settings["shape"][0]):
        raise ValueError(f"columns = {columns!r}: a name for each coordinate of a point, or []")


def _check_integers(settings: Settings) -> None:
    _check_sizes_of_network(settings["network"], SIZES[settings["kind"]])
    sizes = {name: settings[name] for name in ("T", "steps", "batch")}
    sizes |= settings["network"]
    sizes |= {f"shape[{i}]": size for i, size in enumerate(settings["shape"])}
    for name, value in sizes.items():
        most = MOST.get(name.partition("[")[0], MOST_OF_ALL_OTHERS)
        if isinstance(value, bool) or not (isinstance(value, int) and 1 <= value <= most):
            raise ValueError(f"{name} = {value!r}: a whole number from 1 to {most}")
    check_size("batch", settings["batch"], settings["shape"])
    seed = settings["seed"]
    if not (isinstance(seed, int) and seed >= 0):
        raise ValueError(f"seed = {seed!r}: a whole number of 0 or more")


def _check_sizes_of_network(network: Any, names: tuple[str, ...]) -> None:
    if not isinstance(network, dict):
        example = ", ".join(f"{name}=…" for name in names)
        raise ValueError(f"network = {network!r}: its sizes, network=dict({example})")
    for name, size in network.items():
        _check_known(name, size, names, "size of this network")


def _check_numbers(settings: Settings) -> None:
    for name in ("learning_rate", "minutes"):
        value = settings[name]
        if value is not None and not (_is_number(value) and 0 < value < 1e100):
            raise ValueError(f"{name} = {value!r}: a positive number below 1e100")
    value = settings["ema_decay"]
    if not (_is_number(value) and 0 <= value <= 1):
        raise ValueError(f"ema_decay = {value!r}: a number from 0 to 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_shift_and_scale(settings: Settings) -> None:
    shift, scale = settings["shift"], settings["scale"]
    coordinates = settings["shape"][0] if settings["kind"] == "points" else 1
    for name, numbers in (("shift", shift), ("scale", scale)):
        if np.shape(numbers) != (coordinates,):
            raise ValueError(f"{name} has shape {np.shape(numbers)}: it has {coordinates} numbers, "
                             f"one for each coordinate of a point, or a single one for images")
    if not np.max(np.abs(shift)) < 1e200:
        raise ValueError(f"shift = {shift}: its numbers lie between -1e200 and 1e200")
    if not 1e-200 < np.min(scale) <= np.max(scale) < 1e200:
        raise ValueError(f"scale = {scale}: its numbers lie between 1e-200 and 1e200")


def _check_combination(settings: Settings) -> None:
    kind, predicts = settings["kind"], settings["predicts"]
    loss, variance = settings["loss"], settings["variance"]
    if loss == "hybrid" and variance != "learned":
        raise ValueError(f"variance = {variance!r} with loss = 'hybrid': "
                         f"the hybrid loss trains a learned variance, so the variance is learned")
    if variance == "learned" and loss not in ("hybrid", "bits"):
        raise ValueError(f"loss = {loss!r} with variance = 'learned': "
                         f"a learned variance takes the loss hybrid, or bits for images")
    if loss == "v" and predicts != "v":
        raise ValueError(f"predicts = {predicts!r} with loss = 'v': "
                         f"the v loss is for a network that predicts v")
    if (predicts == "prior") != (loss == "bits"):
        raise ValueError(f"predicts = {predicts!r} with loss = {loss!r}: "
                         f"predicts = prior and loss = bits are only used together")
    if predicts == "prior" and kind != "images":
        raise ValueError(f"predicts = 'prior' with {kind}: "
                         f"a prior of 256 grey levels is for the pixels of images")


def check_size(name: str, count: int, shape: list[int] | tuple[int, ...]) -> None:
    """ValueError unless `count` items of this shape fit into the memory of a small computer."""
    most = MOST_NUMBERS // math.prod(shape)
    if count > most:
        raise ValueError(f"{name} = {count}: of shape {tuple(shape)} "
                         f"there can be {most} at the most")
