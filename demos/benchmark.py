"""How fast is NumPy with autograd beside PyTorch and JAX, on this machine, for the same networks?

    python demos/benchmark.py            # PyTorch eager and JAX jit where installed; those that are not are skipped
    python demos/benchmark.py --json     # the numbers on stdout, and nothing else

Each contender has a process of its own, and they take turns, a round each: whatever else the machine does meets all
of them.  The same weights, batches and Adam for everyone; a step goes from x_0 to new weights.  Printed are
medians, the spread (a quarter of the rounds is faster, a quarter slower), and last the ratio: ours to theirs, below 1
we are faster; it is the median of the rounds' own ratios.  Writes benchmark.png and report.json to --out.
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

from tinyddpm.app.console import one_sentence_for_mistakes, integer_at_least, write_json

CONTENDERS = {"tinyddpm": None, "torch": "PyTorch eager", "jax": "JAX jit"}
WIDTH, DEPTH, T = 128, 3, 1000


# %% The two networks once more, over the operations that a contender has: ours are checked against these.
def mlp(ops, w, x, e):
    h = ops.dense(w["first"], x) + ops.dense(w["time"], e)
    for block in w["blocks"]:
        h = h + ops.dense(block["out"], ops.silu(ops.dense(block["in"], ops.silu(h))))
    return ops.dense(w["last"], ops.silu(h))


def conv(ops, w, x, e):
    e = ops.silu(ops.dense(w["time"][1], ops.silu(ops.dense(w["time"][0], e))))

    def block(w, h):
        inner = ops.conv(w["in"], ops.silu(ops.normalise(h))) + ops.dense(w["time"], e)[:, None, None]
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
    return x.reshape(B, H // 2, 2, W // 2, 2, C).swapaxes(2, 3).reshape(B, H // 2, W // 2, 4 * C)


def unfold(x):
    B, H, W, C = x.shape
    return x.reshape(B, H, W, 2, 2, C // 4).swapaxes(2, 3).reshape(B, 2 * H, 2 * W, C // 4)


def mapped(f, weights):
    """f at every leaf of nested dicts and lists."""
    if isinstance(weights, dict):
        return {name: mapped(f, part) for name, part in weights.items()}
    return [mapped(f, part) for part in weights] if isinstance(weights, list) else f(weights)


class Torch:
    """PyTorch, eager; arrays are channels last, as ours are, and so are its convolutions."""

    def __init__(self):
        import torch

        self.torch, F = torch, torch.nn.functional
        self.dense = lambda w, x: F.linear(x, w["w"].T, w["b"])
        self.conv = lambda w, x: F.conv2d(x.permute(0, 3, 1, 2), w["w"].permute(3, 2, 0, 1), w["b"], padding=1).permute(0, 2, 3, 1)
        self.silu, self.fold, self.unfold = F.silu, fold, unfold
        self.normalise = lambda x: F.rms_norm(x, x.shape[1:], eps=1e-5)

    def start(self, net, w, rate):
        torch = self.torch
        self.net = net
        self.w = mapped(lambda a: torch.tensor(a, requires_grad=True), w)
        leaves = []
        mapped(leaves.append, self.w)
        self.adam = torch.optim.Adam(leaves, rate)

    def step(self, x_t, e, eps):
        x_t, e, eps = map(self.torch.from_numpy, (x_t, e, eps))
        self.adam.zero_grad()
        loss = ((self.net(self, self.w, x_t, e) - eps) ** 2).mean()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.adam.param_groups[0]["params"], 1.0)
        self.adam.step()
        return loss.item()

    def guess(self, x_t, e):
        with self.torch.no_grad():
            return self.net(self, self.w, self.torch.from_numpy(x_t), self.torch.from_numpy(e)).numpy()


class Jax:
    """JAX, everything jitted."""

    def __init__(self):
        import jax
        import jax.numpy as jnp

        self.jax = jax
        self.dense = lambda w, x: x @ w["w"] + w["b"]
        self.conv = lambda w, x: jax.lax.conv_general_dilated(x, w["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + w["b"]
        self.silu, self.fold, self.unfold = jax.nn.silu, fold, unfold
        self.normalise = lambda x: x / jnp.sqrt((x ** 2).mean((1, 2, 3), keepdims=True) + 1e-5)

    def start(self, net, w, rate):
        jax, jnp, tree = self.jax, self.jax.numpy, self.jax.tree_util.tree_map
        self.w, self.k = tree(jnp.asarray, w), 0
        self.m, self.v = tree(jnp.zeros_like, self.w), tree(jnp.zeros_like, self.w)

        def update(w, m, v, k, x_t, e, eps):
            loss, g = jax.value_and_grad(lambda w: ((net(self, w, x_t, e) - eps) ** 2).mean())(w)
            length = jnp.sqrt(sum((a ** 2).sum() for a in jax.tree_util.tree_leaves(g)))
            g = tree(lambda g: g / jnp.maximum(length, 1), g)
            m, v = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g), tree(lambda v, g: 0.999 * v + 0.001 * g ** 2, v, g)
            w = tree(lambda w, m, v: w - rate / (1 - 0.9 ** k) * m / (jnp.sqrt(v / (1 - 0.999 ** k)) + 1e-8), w, m, v)
            return w, m, v, loss
        self.update, self.apply = jax.jit(update), jax.jit(lambda w, x_t, e: net(self, w, x_t, e))

    def step(self, x_t, e, eps):
        self.k += 1
        self.w, self.m, self.v, loss = self.update(self.w, self.m, self.v, self.k, x_t, e, eps)
        return float(loss)

    def guess(self, x_t, e):
        return np.asarray(self.apply(self.w, x_t, e))


# %% One contender's process: it is told a job, does it, and says how long it took.
def worker(name):
    from tinyddpm import conv_denoiser, linear, mlp as our_mlp, simple_loss
    from tinyddpm import training
    from tinyddpm.network import time_embedding
    from tinyddpm.app.process import keep_freed_memory
    from tinyddpm.app.run import LEAST
    from tinyddpm.network.threads import denoise_in_halves, gradient_in_halves, last_in_halves, one_blas_thread
    from autograd import value_and_grad

    keep_freed_memory()  # as the commands do
    schedule, theirs = linear(T), {"torch": Torch, "jax": Jax}.get(name)
    theirs = theirs and theirs()
    prepared, least = {}, {"mlp": LEAST["points"], "conv": LEAST["images"]}

    def prepare(kind, width):
        network = our_mlp(2, width, DEPTH) if kind == "mlp" else conv_denoiser(width=width)
        shape = (2,) if kind == "mlp" else (28, 28, 1)
        weights = network.init(np.random.default_rng(0))
        draw = lambda rng, n: rng.standard_normal((n, *shape), np.float32)
        if theirs:
            theirs.start({"mlp": mlp, "conv": conv}[kind], weights, 1e-3)
        return network, weights, draw, np.random.default_rng(1), shape

    def steps(kind, batch, width, count):
        network, weights, draw, rng, _ = prepare(kind, width)
        if not theirs:
            loop = training.train(schedule, network, draw, rng, 10 ** 9, batch, simple_loss, learning_rate=lambda *_: 1e-3,
                                  differentiate=lambda f: gradient_in_halves(value_and_grad(f), least[kind]))

            def our_steps():
                with one_blas_thread():  # as in run.fit
                    return [next(loop).loss for _ in range(count)][-1]
            return our_steps

        def their_steps():
            for _ in range(count):
                x_0, t = draw(rng, batch), training.draw_times(rng, T, batch)
                eps = draw(rng, batch)
                ab = np.float32(schedule.alpha_bar[t]).reshape((-1,) + (1,) * (x_0.ndim - 1))
                loss = theirs.step(np.sqrt(ab) * x_0 + np.sqrt(1 - ab) * eps, np.float32(time_embedding(t, 64)), eps)
            return loss
        return their_steps

    def guesser(kind, width):
        network, weights, draw, rng, shape = prepare(kind, width)
        if theirs:
            return lambda x, t: theirs.guess(x, np.float32(time_embedding(t, 64))), draw, rng
        one = training.denoiser(schedule, network, weights)
        return denoise_in_halves(one, least[kind]), draw, rng

    def forward(kind, batch, width, count):
        guess, draw, rng = guesser(kind, width)
        x = draw(rng, batch)
        return lambda: [guess(x, 7).sum() for _ in range(count)][-1]

    def sampling(kind, batch, width, count):
        from tinyddpm import ancestral_sampling

        guess, draw, rng = guesser(kind, width)
        if not theirs:
            sampler = lambda x, rng: ancestral_sampling(schedule, guess, x, rng, start=count)
            return lambda: last_in_halves(sampler, draw(rng, batch), rng, least[kind]).sum()

        def loop():  # Algorithm 2 in its plainest form
            x = draw(rng, batch)
            for t in range(count, 0, -1):
                b, ab, a = (np.float32(table[t]) for table in (schedule.beta, schedule.alpha_bar, schedule.alpha))
                x = (x - b / np.sqrt(1 - ab) * guess(x, t)) / np.sqrt(a)
                x = x + np.sqrt(b) * draw(rng, batch) if t > 1 else x
            return x.sum()
        return loop

    def product():
        a = np.random.default_rng(0).random((2000, 2000), np.float32)
        return lambda: (a @ a)[0, 0]

    for line in sys.stdin:
        what, *arguments = json.loads(line)
        if what == "memory":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        else:
            key = json.dumps([what, *arguments])
            if key not in prepared:
                prepared.clear()
                prepared[key] = {"steps": steps, "forward": forward, "sampling": sampling, "product": product}[what](*arguments)
                if what != "sampling":
                    prepared[key]()  # compiled, and in the caches
            began = time.perf_counter()
            value = float(prepared[key]())
            answer = time.perf_counter() - began
            if not np.isfinite(value):
                raise FloatingPointError(f"{key} gave {value}")
        print(json.dumps(answer), flush=True)


class Process:
    def __init__(self, name):
        self.process = subprocess.Popen([sys.executable, __file__, "--worker", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

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


# %% What is asked, and what it costs in multiplications.
def jobs(quick):
    few = lambda n: max(1, n // 20) if quick else n
    table = {f"MLP training step, batch {batch}": ("steps", "mlp", batch, WIDTH, few(100)) for batch in (64, 256, 1024)}
    table |= {f"conv training step, batch {batch}": ("steps", "conv", batch, 32, few(2)) for batch in (32, 128)}
    table |= {"MLP forward, 1,000 points": ("forward", "mlp", 1000, WIDTH, few(100)), "conv forward, 64 digits": ("forward", "conv", 64, 32, few(4)),
              "1,000 steps × 1,000 points": ("sampling", "mlp", 1000, WIDTH, few(1000)), "1,000 steps × 64 digits": ("sampling", "conv", 64, 32, few(20) if quick else 100)}
    sweep = {f"sweep: MLP width {width}, batch {batch}": ("steps", "mlp", batch, width, few(40)) for width in (64, 256) for batch in (64, 1024)}
    sweep |= {f"sweep: conv width {width}, batch {batch}": ("steps", "conv", batch, width, 1) for width in (16, 32, 64) for batch in (16, 64)}
    return table | sweep


def conv_flops(batch, width, size=28):
    """Multiplications and additions of one training step: forward, and twice that backward."""
    from tinyddpm import conv_denoiser
    from tinyddpm.network.weights import count, leaves

    layout = conv_denoiser(width=width).layout
    matrices = lambda part: sum(count(leaf) for leaf in leaves(part) if len(leaf.shape) > 1)
    outer, inner = (size // 2) ** 2, (size // 4) ** 2
    pixels = {"first": outer, "down": outer, "up": outer, "last": outer, "middle": inner, "fold": inner, "unfold": inner}
    return 3 * 2 * batch * sum(matrices(layout[part]) * n for part, n in pixels.items())


def import_seconds(module, rounds):
    """Median seconds of a fresh interpreter that imports the module, less one that does not."""
    def run(code):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began
    return float(np.median([run(f"import {module}") - run("pass") for _ in range(rounds)]))


def machine():
    facts = {"machine": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
             else os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}
    try:
        from threadpoolctl import threadpool_info
        facts["blas"] = [{k: info.get(k) for k in ("internal_api", "version", "architecture", "num_threads")}
                         for info in threadpool_info() if info["user_api"] == "blas"]
    except ImportError:
        facts["blas"] = "unknown: threadpoolctl is not installed, and our batches stay in one thread"
    return facts


def main(out, rounds, quick, as_json):
    say = (lambda *a, **k: None) if as_json else print
    installed = [name for name, label in CONTENDERS.items() if label is None or importlib.util.find_spec(name)]
    skipped = [label for name, label in CONTENDERS.items() if name not in installed]
    facts = machine()
    say(json.dumps(facts), *(f"not installed, skipped: {label}" for label in skipped), sep="\n")
    processes = {name: Process(name) for name in installed}
    seconds, report = {}, {"seed": 0, "machine": facts, "skipped": skipped, "jobs": {}}
    say(f"\n{'':34}" + "".join(f"{name:>26}" for name in installed) + "".join(f"{'ours / ' + name:>15}" for name in installed[1:]))
    for title, job in jobs(quick).items():
        what, count = job[0], job[-1] if job[0] != "sampling" else 1
        taken = {name: [] for name in installed}
        for turn in range(rounds if what != "sampling" else max(1, rounds // 3)):
            for name in installed if turn % 2 else installed[::-1]:
                taken[name].append(processes[name].ask(*job) / count)
        seconds[title] = taken
        quartiles = {name: np.quantile(x, [0.25, 0.5, 0.75]) for name, x in taken.items()}
        ratios = {name: float(np.median(np.divide(taken["tinyddpm"], taken[name]))) for name in installed[1:]}
        if job[1] == "conv" and what == "sampling":
            title += f" (per {job[-1]} steps)"
        report["jobs"][title] = {"milliseconds": {name: (1e3 * q).tolist() for name, q in quartiles.items()}, "ratio": ratios}
        say(f"{title:34}" + "".join(f"{1e3 * q[1]:10.2f} ms {1e3 * q[0]:5.2f}–{1e3 * q[2]:<6.2f}" for q in quartiles.values())
            + "".join(f"{r:15.2f}" for r in ratios.values()), flush=True)

    peak = 2 * 2000 ** 3 / np.min([processes["tinyddpm"].ask("product") for _ in range(rounds)])
    reached = conv_flops(128, 32) / np.median(seconds["conv training step, batch 128"]["tinyddpm"])
    for process in processes.values():
        process.close()
    report |= {"product_gflops": peak / 1e9, "conv_step_share_of_peak": reached / peak}
    say(f"\nmatrix product 2000³: {peak / 1e9:.0f} GFLOP/s; our conv step at batch 128: {reached / 1e9:.0f}, {100 * reached / peak:.0f} % of it")
    report["peak_memory_mb"] = {}
    for name in installed:
        process = Process(name)
        process.ask("steps", "conv", 128, 32, 1 if quick else 3)
        report["peak_memory_mb"][name] = process.ask("memory")
        process.close()
    report["import_seconds"] = {name: import_seconds(name, 3 if quick else 9) for name in ("numpy", *installed)}
    say("peak memory of conv training, batch 128: " + ", ".join(f"{name} {mb:.0f} MB" for name, mb in report["peak_memory_mb"].items()))
    say("import: " + ", ".join(f"{name} {s:.2f} s" for name, s in report["import_seconds"].items()))

    from tinyddpm.app import plot
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", report)
    figure = Figure(figsize=(8, 0.3 * len(seconds) + 1), layout="constrained", dpi=110)
    ax = figure.subplots()
    for name, colour in zip(installed, (plot.MODEL, plot.DATA, plot.EXACT)):
        for row, taken in enumerate(seconds.values()):
            ax.scatter(taken[name], [row] * len(taken[name]), color=colour, s=9, alpha=0.6, label=name if not row else None)
    ax.set(xscale="log", yticks=range(len(seconds)), yticklabels=seconds, xlabel="seconds", title="every round")
    ax.invert_yaxis()
    ax.legend(frameon=False)
    figure.savefig(out / "benchmark.png")
    if as_json:
        print(json.dumps(report))
    say(f"{out}: benchmark.png, report.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--rounds", type=integer_at_least(1), default=9, help="of each job (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report, and nothing else")
    parser.add_argument("--quick", action="store_true", help="a moment only, to see that everything works")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker)
        sys.exit()
    with one_sentence_for_mistakes():
        main(arguments.out, 2 if arguments.quick else arguments.rounds, arguments.quick, arguments.json)
