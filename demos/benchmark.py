"""How fast is NumPy with autograd, compared with PyTorch and JAX on this machine?

    python demos/benchmark.py            # PyTorch (eager) and JAX (jit) where they are installed
    python demos/benchmark.py --json     # print the numbers, and nothing else

Each library runs in a process of its own, and they take turns, one round each, so that other work
on the machine affects all of them.  All have the same networks, weights, batches and Adam; a
training step goes from x_0 to new weights.  Printed are the median, the spread (first and third
quartile of the rounds), and the ratio of our time to theirs, below 1 where we are faster: the
median of the rounds' own ratios.  "two ranks" is tinyddpm under `mpiexec -n 2`, where mpi4py is
installed; its ratios to the others are printed, too.  Writes benchmark.png and report.json.
"""
# %%
import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tinyddpm.app import ranks
from tinyddpm.app.console import integer_at_least, one_sentence_for_mistakes, write_json

LIBRARIES = {"tinyddpm": None, "two ranks": "tinyddpm in two processes (MPI)",
             "torch": "PyTorch eager", "jax": "JAX jit"}
MODULES = {"two ranks": "mpi4py"}  # where it has another name
WIDTH, DEPTH, T = 128, 3, 1000


# %% The two networks again, written with a library's operations; a test compares them with ours.
def mlp(ops, w, x, e):
    h = ops.dense(w["first"], x) + ops.dense(w["time"], e)
    for block in w["blocks"]:
        h = h + ops.dense(block["out"], ops.silu(ops.dense(block["in"], ops.silu(h))))
    return ops.dense(w["last"], ops.silu(h))


def conv(ops, w, x, e):
    e = ops.silu(ops.dense(w["time"][1], ops.silu(ops.dense(w["time"][0], e))))

    def block(w, h):
        shift = ops.dense(w["time"], e)[:, None, None]
        inner = ops.conv(w["in"], ops.silu(ops.normalise(h))) + shift
        return h + ops.conv(w["out"], ops.silu(ops.normalise(inner)))
    h = ops.conv(w["first"], ops.fold(x))
    for part in w["down"]:
        h = block(part, h)
    inner = ops.dense(w["fold"], ops.fold(h))
    for part in w["middle"]:
        inner = block(part, inner)
    h = h + ops.unfold(ops.dense(w["unfold"], inner))
    for part in w["up"]:
        h = block(part, h)
    return ops.unfold(ops.conv(w["last"], ops.silu(ops.normalise(h))))


def fold(x):
    B, H, W, C = x.shape
    blocks = x.reshape(B, H // 2, 2, W // 2, 2, C).swapaxes(2, 3)
    return blocks.reshape(B, H // 2, W // 2, 4 * C)


def unfold(x):
    B, H, W, C = x.shape
    blocks = x.reshape(B, H, W, 2, 2, C // 4).swapaxes(2, 3)
    return blocks.reshape(B, 2 * H, 2 * W, C // 4)


def map_weights(f, weights):
    """f of every array in nested dicts and lists."""
    if isinstance(weights, dict):
        return {name: map_weights(f, part) for name, part in weights.items()}
    if isinstance(weights, list):
        return [map_weights(f, part) for part in weights]
    return f(weights)


class Torch:
    """PyTorch, eager; arrays are channels last, like ours, and so are its convolutions."""

    def __init__(self):
        import torch

        self.torch, functional = torch, torch.nn.functional

        def conv(w, x):
            kernel = w["w"].permute(3, 2, 0, 1)
            y = functional.conv2d(x.permute(0, 3, 1, 2), kernel, w["b"], padding=1)
            return y.permute(0, 2, 3, 1)

        self.dense = lambda w, x: functional.linear(x, w["w"].T, w["b"])
        self.conv = conv
        self.silu, self.fold, self.unfold = functional.silu, fold, unfold
        self.normalise = lambda x: functional.rms_norm(x, x.shape[1:], eps=1e-5)

    def start(self, network, weights, learning_rate):
        torch = self.torch
        self.network = network
        self.weights = map_weights(lambda a: torch.tensor(a, requires_grad=True), weights)
        leaves = []
        map_weights(leaves.append, self.weights)
        self.adam = torch.optim.Adam(leaves, learning_rate)

    def step(self, x_t, e, eps):
        x_t, e, eps = map(self.torch.from_numpy, (x_t, e, eps))
        self.adam.zero_grad()
        loss = ((self.network(self, self.weights, x_t, e) - eps) ** 2).mean()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.adam.param_groups[0]["params"], 1.0)
        self.adam.step()
        return loss.item()

    def guess(self, x_t, e):
        x_t, e = map(self.torch.from_numpy, (x_t, e))
        with self.torch.no_grad():
            return self.network(self, self.weights, x_t, e).numpy()


class Jax:
    """JAX, everything jitted."""

    def __init__(self):
        import jax
        import jax.numpy as jnp

        def conv(w, x):
            layout = ("NHWC", "HWIO", "NHWC")
            y = jax.lax.conv_general_dilated(x, w["w"], (1, 1), "SAME", dimension_numbers=layout)
            return y + w["b"]

        self.jax = jax
        self.dense = lambda w, x: x @ w["w"] + w["b"]
        self.conv = conv
        self.silu, self.fold, self.unfold = jax.nn.silu, fold, unfold
        self.normalise = lambda x: x / jnp.sqrt((x ** 2).mean((1, 2, 3), keepdims=True) + 1e-5)

    def start(self, network, weights, learning_rate):
        jax, jnp, tree_map = self.jax, self.jax.numpy, self.jax.tree_util.tree_map
        self.weights, self.count = tree_map(jnp.asarray, weights), 0
        self.first = tree_map(jnp.zeros_like, self.weights)
        self.second = tree_map(jnp.zeros_like, self.weights)

        def adam(w, m, s, k):
            c_1, c_2 = 1 - 0.9 ** k, 1 - 0.999 ** k
            return w - learning_rate / c_1 * m / (jnp.sqrt(s / c_2) + 1e-8)

        def update(weights, first, second, k, x_t, e, eps):
            def loss(weights):
                return ((network(self, weights, x_t, e) - eps) ** 2).mean()
            value, gradient = jax.value_and_grad(loss)(weights)
            norm = jnp.sqrt(sum((g ** 2).sum() for g in jax.tree_util.tree_leaves(gradient)))
            gradient = tree_map(lambda g: g / jnp.maximum(norm, 1), gradient)
            first = tree_map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
            second = tree_map(lambda s, g: 0.999 * s + 0.001 * g ** 2, second, gradient)
            weights = tree_map(lambda w, m, s: adam(w, m, s, k), weights, first, second)
            return weights, first, second, value
        self.update = jax.jit(update)
        self.apply = jax.jit(lambda weights, x_t, e: network(self, weights, x_t, e))

    def step(self, x_t, e, eps):
        self.count += 1
        state = self.weights, self.first, self.second
        *state, loss = self.update(*state, self.count, x_t, e, eps)
        self.weights, self.first, self.second = state
        return float(loss)

    def guess(self, x_t, e):
        return np.asarray(self.apply(self.weights, x_t, e))


# %% The process of one library: it reads a job, does it, and prints the seconds.
def worker(name):
    from autograd import value_and_grad

    from tinyddpm import conv_denoiser, linear, simple_loss, training
    from tinyddpm import mlp as our_mlp
    from tinyddpm.app.process import keep_freed_memory
    from tinyddpm.app.run import LEAST_TO_HALVE
    from tinyddpm.network import time_embedding
    from tinyddpm.network.threads import one_blas_thread

    keep_freed_memory()  # as the commands do
    schedule, library = linear(T), {"torch": Torch, "jax": Jax}.get(name)
    theirs = None if library is None else library()
    prepared = {}
    least = {"mlp": LEAST_TO_HALVE["points"], "conv": LEAST_TO_HALVE["images"]}

    def embedding(t):
        return np.float32(time_embedding(t, 64))

    def prepare(kind, width):
        network = our_mlp(2, width, DEPTH) if kind == "mlp" else conv_denoiser(width=width)
        shape = (2,) if kind == "mlp" else (28, 28, 1)
        weights = network.init(np.random.default_rng(0))

        def draw(rng, n):
            return rng.standard_normal((n, *shape), np.float32)
        if theirs:
            theirs.start({"mlp": mlp, "conv": conv}[kind], weights, 1e-3)
        return network, weights, draw, np.random.default_rng(1)

    def steps(kind, batch, width, count):
        network, weights, draw, rng = prepare(kind, width)
        if not theirs:
            def differentiate(f):
                return ranks.shared_gradient(value_and_grad(f), least[kind])
            loop = training.train(schedule, network, draw, rng, 10 ** 9, batch, simple_loss,
                                  learning_rate=lambda *_: 1e-3, differentiate=differentiate)

            def our_steps():
                with one_blas_thread():  # as in run.fit
                    return [next(loop).loss for _ in range(count)][-1]
            return our_steps

        def their_steps():
            for _ in range(count):
                x_0, t = draw(rng, batch), training.draw_times(rng, T, batch)
                eps = draw(rng, batch)
                alpha_bar = np.float32(schedule.alpha_bar[t]).reshape((-1,) + (1,) * (x_0.ndim - 1))
                x_t = np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * eps
                loss = theirs.step(x_t, embedding(t), eps)
            return loss
        return their_steps

    def guesser(kind, width):
        network, weights, draw, rng = prepare(kind, width)
        if theirs:
            return lambda x, t: theirs.guess(x, embedding(t)), draw, rng
        denoiser = training.denoiser(schedule, network, weights)
        return ranks.shared_denoiser(denoiser, least[kind]), draw, rng

    def forward(kind, batch, width, count):
        guess, draw, rng = guesser(kind, width)
        x = draw(rng, batch)
        return lambda: [guess(x, 7).sum() for _ in range(count)][-1]

    def sampling(kind, batch, width, count):
        from tinyddpm import ancestral_sampling

        guess, draw, rng = guesser(kind, width)
        if not theirs:
            def sampler(x, rng):
                return ancestral_sampling(schedule, guess, x, rng, start=count)
            return lambda: ranks.shared_samples(sampler, draw(rng, batch), rng, least[kind]).sum()

        def plain_algorithm_2():
            x = draw(rng, batch)
            tables = schedule.beta, schedule.alpha_bar, schedule.alpha
            for t in range(count, 0, -1):
                beta, alpha_bar, alpha = (np.float32(table[t]) for table in tables)
                x = (x - beta / np.sqrt(1 - alpha_bar) * guess(x, t)) / np.sqrt(alpha)
                x = x + np.sqrt(beta) * draw(rng, batch) if t > 1 else x
            return x.sum()
        return plain_algorithm_2

    def product():
        a = np.random.default_rng(0).random((2000, 2000), np.float32)
        return lambda: (a @ a)[0, 0]

    kinds = {"steps": steps, "forward": forward, "sampling": sampling, "product": product}
    for line in iter(next_job, ""):
        what, *arguments = json.loads(line)
        if what == "memory":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        else:
            key = json.dumps([what, *arguments])
            if key not in prepared:
                prepared.clear()
                prepared[key] = kinds[what](*arguments)
                if what != "sampling":
                    prepared[key]()  # once before the clock runs: compiles, and fills the caches
            began = time.perf_counter()
            value = float(prepared[key]())
            answer = time.perf_counter() - began
            if not np.isfinite(value):
                raise FloatingPointError(f"{key} gave {value}")
        if ranks.rank() == 0:
            print(json.dumps(answer), flush=True)


def next_job():
    """The next line of stdin; rank 0 reads it, and the other ranks sleep until they get it."""
    world = ranks.world()
    if ranks.rank() == 0:
        line = sys.stdin.readline()
        for other in range(1, ranks.ranks()):
            world.send(line, other)
        return line
    while not world.iprobe():  # recv alone would keep a core busy while another library computes
        time.sleep(0.001)
    return world.recv()


class Process:
    def __init__(self, name):
        command = [sys.executable, __file__, "--worker", name]
        if name == "two ranks":
            command = [ranks.mpiexec(), "-n", "2", *command]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, *job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise OSError(f"the process for {job} has died")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# %% The jobs: (what, network, batch, width, how often).
def jobs(quick):
    def few(n):
        return max(1, n // 20) if quick else n

    table = {f"MLP training step, batch {batch}": ("steps", "mlp", batch, WIDTH, few(100))
             for batch in (64, 256, 1024)}
    for batch in (32, 128):
        table[f"conv training step, batch {batch}"] = ("steps", "conv", batch, 32, few(2))
    table["MLP forward, 1,000 points"] = ("forward", "mlp", 1000, WIDTH, few(100))
    table["conv forward, 64 digits"] = ("forward", "conv", 64, 32, few(4))
    table["1,000 steps × 1,000 points"] = ("sampling", "mlp", 1000, WIDTH, few(1000))
    table["1,000 steps × 64 digits"] = ("sampling", "conv", 64, 32, few(20) if quick else 100)
    for width in (64, 256):
        for batch in (64, 1024):
            title = f"sweep: MLP width {width}, batch {batch}"
            table[title] = ("steps", "mlp", batch, width, few(40))
    for width in (16, 32, 64):
        for batch in (16, 64):
            table[f"sweep: conv width {width}, batch {batch}"] = ("steps", "conv", batch, width, 1)
    return table


def conv_flops(batch, width, size=28):
    """Multiplications and additions of one training step: forward, and twice as many backward."""
    from tinyddpm import conv_denoiser
    from tinyddpm.network.weights import count, leaves

    layout = conv_denoiser(width=width).layout

    def count_matrices(part):
        return sum(count(leaf) for leaf in leaves(part) if len(leaf.shape) > 1)
    outer, inner = (size // 2) ** 2, (size // 4) ** 2
    pixels = {"first": outer, "down": outer, "up": outer, "last": outer,
              "middle": inner, "fold": inner, "unfold": inner}
    return 3 * 2 * batch * sum(count_matrices(layout[part]) * n for part, n in pixels.items())


def import_seconds(module, rounds):
    """Median seconds of a fresh interpreter that imports the module, minus one that does not."""
    def run(code):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began
    return float(np.median([run(f"import {module}") - run("pass") for _ in range(rounds)]))


def machine():
    """What the numbers depend on: processor, cores, versions, BLAS."""
    has_affinity = hasattr(os, "sched_getaffinity")
    facts = {"machine": platform.processor() or platform.machine(),
             "cores": len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count(),
             "python": platform.python_version(), "numpy": np.__version__}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        facts["blas"] = "unknown: threadpoolctl is not installed, and our batches run in one thread"
        return facts
    keys = ("internal_api", "version", "architecture", "num_threads")
    facts["blas"] = [{key: info.get(key) for key in keys} for info in threadpool_info()
                     if info["user_api"] == "blas"]
    return facts


def draw(out, seconds, names):
    """Every round of every job, on one logarithmic axis."""
    from tinyddpm.app import plot

    figure, (ax,) = plot.new_figure(1, 8, 0.3 * len(seconds) + 1)
    for name, colour in zip(names, (plot.MODEL, plot.OTHERS[0], plot.DATA, plot.EXACT)):
        for row, taken in enumerate(seconds.values()):
            ax.scatter(taken[name], [row] * len(taken[name]), color=colour, s=9, alpha=0.6,
                       label=name if row == 0 else None)
    ax.set(xscale="log", yticks=range(len(seconds)), yticklabels=seconds, xlabel="seconds",
           title="Time of each job, every round")
    ax.invert_yaxis()
    ax.legend(frameon=False)
    figure.savefig(out / "benchmark.png")


def main(out, rounds, quick, as_json):
    def say(*lines, **options):
        if not as_json:
            print(*lines, **options)

    installed = [name for name, label in LIBRARIES.items()
                 if label is None or importlib.util.find_spec(MODULES.get(name, name))]
    if ranks.mpiexec() is None and "two ranks" in installed:
        installed.remove("two ranks")
    skipped = [label for name, label in LIBRARIES.items() if name not in installed]
    others = installed[1:]
    facts = machine()
    say(json.dumps(facts), *(f"not installed, skipped: {label}" for label in skipped), sep="\n")
    processes = {name: Process(name) for name in installed}
    seconds, report = {}, {"seed": 0, "machine": facts, "skipped": skipped, "jobs": {}}
    titles = "".join(f"{name:>26}" for name in installed)
    say(f"\n{'':34}{titles}" + "".join(f"{'ours / ' + name:>18}" for name in others)
        + "".join(f"{'two ranks / ' + name:>18}" for name in others[1:] if "two ranks" in others))
    for title, job in jobs(quick).items():
        is_sampling = job[0] == "sampling"
        count = 1 if is_sampling else job[-1]
        taken = {name: [] for name in installed}
        for turn in range(max(1, rounds // 3) if is_sampling else rounds):
            for name in installed if turn % 2 else installed[::-1]:
                taken[name].append(processes[name].ask(*job) / count)
        seconds[title] = taken
        quartiles = {name: 1e3 * np.quantile(x, [0.25, 0.5, 0.75]) for name, x in taken.items()}
        ratios = {}
        for name in others:
            ratios[name] = float(np.median(np.divide(taken["tinyddpm"], taken[name])))
        for name in others if "two ranks" in others else []:
            if name != "two ranks":
                ratio = np.median(np.divide(taken["two ranks"], taken[name]))
                ratios[f"two ranks / {name}"] = float(ratio)
        if job[1] == "conv" and is_sampling:
            title += f" (per {job[-1]} steps)"
        milliseconds = {name: q.tolist() for name, q in quartiles.items()}
        report["jobs"][title] = {"milliseconds": milliseconds, "ratio": ratios}
        columns = "".join(f"{q[1]:10.2f} ms {q[0]:5.2f}–{q[2]:<6.2f}" for q in quartiles.values())
        say(f"{title:34}{columns}" + "".join(f"{r:18.2f}" for r in ratios.values()), flush=True)

    product = np.min([processes["tinyddpm"].ask("product") for _ in range(rounds)])
    peak = 2 * 2000 ** 3 / product
    conv_seconds = np.median(seconds["conv training step, batch 128"]["tinyddpm"])
    reached = conv_flops(128, 32) / conv_seconds
    for process in processes.values():
        process.close()
    report |= {"product_gflops": peak / 1e9, "conv_step_share_of_peak": reached / peak}
    say(f"\nmatrix product 2000³: {peak / 1e9:.0f} GFLOP/s; our conv step at batch 128: "
        f"{reached / 1e9:.0f}, {reached / peak:.0%} of it")
    report["peak_memory_mb"] = {}
    for name in installed:
        process = Process(name)
        process.ask("steps", "conv", 128, 32, 1 if quick else 3)
        report["peak_memory_mb"][name] = process.ask("memory")
        process.close()
    names = "numpy", *(name for name in installed if name != "two ranks")
    report["import_seconds"] = {name: import_seconds(name, 3 if quick else 9) for name in names}
    memory = ", ".join(f"{name} {mb:.0f} MB" for name, mb in report["peak_memory_mb"].items())
    imports = ", ".join(f"{name} {s:.2f} s" for name, s in report["import_seconds"].items())
    say(f"peak memory of conv training, batch 128: {memory}\nimport: {imports}")

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", report)
    draw(out, seconds, installed)
    if as_json:
        print(json.dumps(report))
    say(f"{out}: benchmark.png, report.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"), metavar="DIR",
                        help="folder for picture and report.json (%(default)s)")
    parser.add_argument("--rounds", type=integer_at_least(1), default=9,
                        help="of each job (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report, and nothing else")
    parser.add_argument("--quick", action="store_true",
                        help="take seconds only, to see that everything works")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker)
        sys.exit()
    with one_sentence_for_mistakes():
        rounds = 2 if arguments.quick else arguments.rounds
        main(arguments.out, rounds, arguments.quick, arguments.json)
