"""Free-energy coding: items become bits and come back, with the chain x_1…x_T as latents.

A stack of bits, an ANS coder, does two things with a distribution.  To *push* a value costs
−log₂ of its probability in bits.  To *pop* takes bits from the stack and turns them into a draw
from the distribution; pushing the draw gives the same bits back.

    the sender     for t = 1…T: pop x_t with q(x_t | x_{t−1}); push x_{t−1} with p_θ(x_{t−1} | x_t)
                   at the end: push x_T with N(0, I)
    the receiver   pop x_T with N(0, I)
                   for t = T…1: pop x_{t−1} with p_θ(x_{t−1} | x_t); push x_t with q(x_t | x_{t−1})

So a path x_0…x_T adds −log₂ p_θ(x_{0:T}) + log₂ q(x_{1:T} | x_0) bits to the stack.  The mean over
paths is −ELBO (2.2): this is the ELBO's first form, `first_form_terms`, as a length.  (Bits back:
Hinton & van Camp 1993.  The order of the steps: Bit-Swap, Kingma et al. 2019.)  The first pops need
bits that are there already.  The receiver gets these initial bits back.

The x_t are numbers on a grid of spacing δ_t = √β_t/4.  What is coded is the number of grid steps
from the grid point nearest to the mean.  Sender and receiver must compute the same floats to the
last bit, so both call the denoiser with the same batches.
"""
import hashlib
import json
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import constriction
import numpy as np
from numpy import ndarray as Array

from tinyddpm import Gaussian, Schedule, forward_step, level_log_prob, predict, reverse_step
from tinyddpm.decoder import HALF_RANGE, from_levels, to_levels
from tinyddpm.gaussian import standard_gaussian

GRID = 4        # grid steps in a standard deviation √β_t
Q_WINDOW = 22   # grid steps to each side of q's mean: 5.5 standard deviations
P_WINDOW = 32   # of p_θ's mean; numbers further away take an escape
FARTHEST = 2 ** 20  # grid steps that an escape can tell
SPARE = 64      # bits that always stay on the stack
MOST_AT_ONCE = 128  # items of a batch
FORMAT = "tinyddpm free-energy code 1"


class Model(NamedTuple):
    """p_θ for the coder.

    denoiser, variance, clip: as in `ledger`.  levels: the items are pixels of 256 levels; otherwise
    they are numbers on the grid of x_1.
    """

    schedule: Schedule
    denoiser: Callable
    variance: Any = "beta"
    clip: tuple[float, float] | None = None
    levels: bool = True

    def spacing(self, t: int) -> float:
        """δ_t; for t = 0 that of x_1."""
        return float(np.sqrt(self.schedule.beta[max(t, 1)])) / GRID

    def last_window(self) -> int:
        """The window of x_T in grid steps: 7 standard deviations of N(0, 1)."""
        return int(np.ceil(7 / self.spacing(self.schedule.T)))

    def reverse(self, x_t: Array, t: int) -> Gaussian:
        """p_θ(x_{t−1} | x_t); the denoiser computes in float32."""
        prediction = predict(self.schedule, self.denoiser, x_t.astype(np.float32), t, self.clip)
        mean, var = reverse_step(self.schedule, prediction, self.variance)
        return Gaussian(mean.astype(float), np.broadcast_to(var, mean.shape).astype(float))


# %% The stack: push and pop numbers on a grid.
def new_stack(words: Array) -> Any:
    """A stack that holds these words, uint32."""
    return constriction.stream.stack.AnsCoder(words, True)


def stack_of(payload: bytes) -> Any:
    """The stack whose `get_compressed` was written as these bytes."""
    return constriction.stream.stack.AnsCoder(np.frombuffer(payload, "<u4").astype(np.uint32))


def _gaussians(window: int) -> Any:
    """The distribution of a number of grid steps, −window…window."""
    return constriction.stream.model.QuantizedGaussian(-window, window)


def _from_nearest(p: Gaussian, spacing: float) -> tuple[Array, Array, Array]:
    """The grid point nearest to the mean; from there, in grid steps, the mean; the deviation."""
    nearest = np.rint(p.mean / spacing)
    std = np.broadcast_to(np.sqrt(p.var), p.mean.shape) / spacing
    return nearest, (p.mean / spacing - nearest).ravel(), std.ravel()


def pop_q(stack: Any, q: Gaussian, spacing: float) -> Array:
    """Pop a draw of q, on the grid: numbers in the shape of the mean."""
    nearest, mean, std = _from_nearest(q, spacing)
    steps = stack.decode(_gaussians(Q_WINDOW), mean, std)
    return (nearest + steps.reshape(nearest.shape)) * spacing


def push_q(stack: Any, x_t: Array, q: Gaussian, spacing: float) -> None:
    """Push what `pop_q` returned."""
    nearest, mean, std = _from_nearest(q, spacing)
    steps = (np.rint(x_t / spacing) - nearest).ravel().astype(np.int32)
    stack.encode_reverse(steps, _gaussians(Q_WINDOW), mean, std)


def push_p(stack: Any, x: Array, p: Gaussian, spacing: float, window: int = P_WINDOW) -> None:
    """Push x, the shape of the mean.  At the edge of the window, how far beyond it x is, too."""
    nearest, mean, std = _from_nearest(p, spacing)
    steps = (np.rint(x / spacing) - nearest).ravel()
    beyond = abs(steps) - window
    escapes = beyond[beyond >= 0].astype(np.int32)
    if escapes.size:
        stack.encode_reverse(escapes, constriction.stream.model.Uniform(FARTHEST))
    inside = np.clip(steps, -window, window).astype(np.int32)
    stack.encode_reverse(inside, _gaussians(window), mean, std)


def pop_p(stack: Any, p: Gaussian, spacing: float, window: int = P_WINDOW) -> Array:
    """Pop what `push_p` pushed."""
    nearest, mean, std = _from_nearest(p, spacing)
    steps = stack.decode(_gaussians(window), mean, std)
    at_edge = abs(steps) == window
    if at_edge.any():
        beyond = stack.decode(constriction.stream.model.Uniform(FARTHEST), int(at_edge.sum()))
        steps[at_edge] += np.sign(steps[at_edge]) * beyond
    return (nearest + steps.reshape(nearest.shape)) * spacing


def _in_levels(p: Gaussian) -> tuple[Any, Array, Array]:
    """The decoder of 256 levels: the distribution of a level, its mean and deviation in levels."""
    mean, std = (p.mean + 1) * HALF_RANGE, np.sqrt(p.var) * HALF_RANGE
    return constriction.stream.model.QuantizedGaussian(0, 255), mean.ravel(), std.ravel()


def push_x_0(stack: Any, x_0: Array, p: Gaussian, model: Model) -> None:
    """Push the items with the decoder p_θ(x_0 | x_1)."""
    if model.levels:
        stack.encode_reverse(to_levels(x_0).ravel().astype(np.int32), *_in_levels(p))
    else:
        push_p(stack, x_0, p, model.spacing(0))


def pop_x_0(stack: Any, p: Gaussian, model: Model) -> Array:
    """Pop what `push_x_0` pushed."""
    if model.levels:
        levels = stack.decode(*_in_levels(p))
        return from_levels(levels.astype(np.uint8)).astype(float).reshape(p.mean.shape)
    return pop_p(stack, p, model.spacing(0))


# %% Sender and receiver of one batch.
class Sent(NamedTuple):
    """What sending a batch did to the stack, in bits.  Entry t of an array belongs to x_t.

    pushed    (T + 1,): by p_θ(x_t | x_{t+1}), and by N(0, I) for t = T
    popped    (T + 1,): by q(x_t | x_{t−1}); entry 0 is zero
    bound     the ELBO's first form on the same paths
    deepest   how much lower than at the beginning the stack was at its lowest
    """

    pushed: Array
    popped: Array
    bound: float
    deepest: float


def send(stack: Any, model: Model, x_0: Array) -> Sent:
    """Push a batch of items, (B, …) float64, on the stack.

    ValueError: the stack holds too few bits for the first pops.
    """
    T, decoder = model.schedule.T, level_log_prob if model.levels else Gaussian.log_prob
    pushed, popped, nats = np.zeros(T + 1), np.zeros(T + 1), 0.0
    begin = height = lowest = stack.num_valid_bits()

    def change() -> int:
        nonlocal height
        before, height = height, stack.num_valid_bits()
        return height - before

    x_prev = x_0
    for t in range(1, T + 1):
        q = forward_step(model.schedule, x_prev, t)
        x_t = pop_q(stack, q, model.spacing(t))
        popped[t] = -change()
        if height < SPARE:
            raise ValueError(f"the stack has {begin} bits: too few for {len(x_0)} items")
        lowest = min(lowest, height)
        p = model.reverse(x_t, t)
        if t == 1:
            push_x_0(stack, x_0, p, model)
        else:
            push_p(stack, x_prev, p, model.spacing(t - 1))
        pushed[t - 1] = change()
        log_p = decoder(p, x_prev) if t == 1 else p.log_prob(x_prev)
        nats += (q.log_prob(x_t) - log_p).sum()
        x_prev = x_t
    last = standard_gaussian(x_prev)
    push_p(stack, x_prev, last, model.spacing(T), model.last_window())
    pushed[T] = change()
    nats -= last.log_prob(x_prev).sum()
    return Sent(pushed, popped, nats / np.log(2), begin - lowest)


def receive(stack: Any, model: Model, shape: tuple[int, ...]) -> Array:
    """Pop a batch of items of this shape, (B, …), from the stack."""
    T = model.schedule.T
    x = pop_p(stack, standard_gaussian(np.zeros(shape)), model.spacing(T), model.last_window())
    for t in range(T, 0, -1):
        p = model.reverse(x, t)
        if t == 1:
            x_prev = pop_x_0(stack, p, model)
        else:
            x_prev = pop_p(stack, p, model.spacing(t - 1))
        push_q(stack, x, forward_step(model.schedule, x_prev, t), model.spacing(t))
        x = x_prev
    return x


# %% The file: a header of one line, JSON, then the words of the stack.
def encode(model: Model, items: Array, encode_item: Callable, fingerprint: str,
           rng: np.random.Generator, progress: Callable = iter) -> tuple[bytes, list[Sent]]:
    """Items, (N, …), as the content of a file, and what each batch did to the stack.

    The first batch has one item, so the initial bits, drawn from rng, are those of one item.  Each
    later batch is as large as the stack affords.
    encode_item: items → x_0, float64.  fingerprint: of the model; the receiver's must be the same.
    progress: wraps the list of items, as tqdm does.
    """
    first, sizes, sent, bar = items[:1], [], [], iter(progress(range(len(items))))
    plenty = rng.integers(2 ** 32, size=first.size, dtype=np.uint32)  # 32 bits for each dimension
    trial = send(new_stack(plenty), model, encode_item(first))
    words = plenty[:int(np.ceil(1.05 * trial.deepest / 32)) + 8]
    stack = new_stack(words)
    while sum(sizes) < len(items):
        begin, size = sum(sizes), 1
        if sent:
            each = max(batch.deepest / size for batch, size in zip(sent, sizes))
            affordable = int(0.95 * stack.num_valid_bits() / each)
            size = int(np.clip(affordable, 1, min(MOST_AT_ONCE, len(items) - begin)))
        sent.append(send(stack, model, encode_item(items[begin:begin + size])))
        sizes.append(size)
        for _ in range(size):
            next(bar)
    payload = stack.get_compressed().astype("<u4").tobytes()
    header = {"format": FORMAT, "batches": sizes, "shape": items.shape[1:],
              "steps": model.schedule.T, "initial_words": len(words), "model": fingerprint,
              "payload": sha256(payload), "items": sha256(np.ascontiguousarray(items).tobytes()),
              "made_with": machine()}
    return json.dumps(header).encode() + b"\n" + payload, sent


def decode(model: Model, content: bytes, decode_item: Callable, fingerprint: str,
           progress: Callable = iter) -> Array:
    """The items of a file's content.

    decode_item: x_0 → items.  ValueError: a damaged file, another model, or a machine that computes
    other floats than the sender's; wrong items are never returned.
    """
    line, _, payload = content.partition(b"\n")
    header = check_header(line)
    if sha256(payload) != header["payload"]:
        raise ValueError("the file is damaged or incomplete: its checksum is not that of its "
                         "header; copy it again from where it came from")
    if header["model"] != fingerprint:
        raise ValueError(f"the file was written with another denoiser, {header['model'][:12]}, and "
                         f"this one is {fingerprint[:12]}: give the run it was written with")
    stack = stack_of(payload)
    shape, batches = tuple(header["shape"]), []
    try:
        for size in progress(header["batches"][::-1]):
            batches.append(decode_item(receive(stack, model, (size, *shape))))
        returned = sha256(np.concatenate(batches[::-1]).tobytes())
    except KeyError:  # constriction: after other floats, a number that p_θ or q cannot have
        returned = None
    if returned != header["items"]:
        raise ValueError(f"the items that come out are not those that went in: this machine "
                         f"({machine()}) computes other floats than the sender's "
                         f"({header['made_with']}); decode the file there")
    return np.concatenate(batches[::-1])


def check_header(line: bytes) -> dict[str, Any]:
    """The header.  ValueError: not one that `encode` wrote."""
    try:
        header = json.loads(line)
        sizes, shape = header["batches"], header["shape"]
        names = ("model", "payload", "items", "made_with")
        numbers = [*sizes, *shape, header["steps"], header["initial_words"]]
        fine = (header["format"] == FORMAT and all(isinstance(header[name], str) for name in names)
                and all(type(number) is int and 1 <= number <= 10 ** 6 for number in numbers)
                and max(sizes) <= MOST_AT_ONCE and sum(sizes) <= 10 ** 6)
    except (ValueError, KeyError, TypeError, RecursionError):
        fine = False
    if not fine:
        raise ValueError("the file has no header of this version: it must be one that "
                         "demos/file_size.py wrote")
    return header


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def machine() -> str:
    return f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
