"""Does another processor compute the same float32 numbers?

    python tests/tools/kernels.py

OpenBLAS and NumPy choose their kernels by the processor; here they are told to use other ones.
Each kernel is compared with the plainest: the output of a network, its gradient, and the loss after
forty steps of training.  They differ in the last digits, because sums are taken in another order,
and by no more than BOUNDS.  The test suite tries two of the kernels (test_kernels.py).
"""
import json
import os
import subprocess
import sys

import numpy as np

NO_AVX = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
KERNELS = {
    "Prescott": {}, "Nehalem": {}, "Sandybridge": {}, "Haswell": {}, "Zen": {}, "SkylakeX": {},
    "Haswell, two threads": {"OPENBLAS_NUM_THREADS": "2"},
    "Haswell, NumPy without AVX2 and AVX512": {"NPY_DISABLE_CPU_FEATURES": NO_AVX}}
# Differences as fractions of the largest entry: ten to a hundred times those that were found.  One
# rounding in float32 is 6e-8, and a layer sums up to 600 products.
BOUNDS = {"answer": 5e-6, "gradient": 5e-6, "loss after 40 steps": 1e-4}

WORK = '''
import json, sys
import numpy as np
from autograd import value_and_grad
from tinyddpm import conv_denoiser, cosine, mlp, simple_loss, train, training
from tinyddpm.network.weights import pack, unpack

schedule, found = cosine(100), {}
networks = {"mlp": (mlp(2, 96, 2), (2,)), "conv": (conv_denoiser(1, 16, 1, 1), (12, 12))}
for name, (network, shape) in networks.items():
    rng = np.random.default_rng(0)
    weights = pack(network.init(rng))
    # Away from the start, where the last layer is zero.
    weights += np.float32(0.02) * rng.standard_normal(weights.shape, np.float32)
    x, eps = rng.standard_normal((2, 16, *shape), np.float32)
    t = rng.integers(1, 100, 16)

    def loss(weights):
        nested = unpack(weights, network.layout)
        return simple_loss(schedule, training.denoiser(schedule, network, nested), x, t, eps)

    def draw(rng, n):
        return rng.standard_normal((n, *shape), np.float32)

    answer = training.denoiser(schedule, network, weights)(x, t)
    gradient = value_and_grad(loss)(weights)[1]
    steps = list(train(schedule, network, draw, rng, 40, 16, learning_rate=lambda *_: 1e-2))
    found[name] = {"answer": answer.ravel().tolist(), "gradient": gradient.tolist(),
                   "loss after 40 steps": [steps[-1].loss]}
json.dump(found, sys.stdout)
'''


def numbers(kernel):
    """{network: {quantity: list of numbers}} from a process with this kernel; None if it fails."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1",
                   "OPENBLAS_CORETYPE": kernel.partition(",")[0], **KERNELS[kernel]}
    command = [sys.executable, "-W", "ignore", "-c", WORK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def differences(found, reference):
    """{quantity: the largest difference over both networks, as a fraction of the largest entry}."""
    def difference(a, b):
        return float(np.max(np.abs(np.subtract(a, b))) / np.max(np.abs(b)))
    return {name: max(difference(found[network][name], reference[network][name])
                      for network in found) for name in BOUNDS}


def main():
    """Prints the table; True if every kernel that runs here keeps to the bounds."""
    reference, all_within = numbers("Prescott"), True
    print(f"{'kernel':45}" + "".join(f"{name:>22}" for name in BOUNDS))
    for kernel in KERNELS:
        found = numbers(kernel)
        if found is None:
            print(f"{kernel:45} does not run on this processor")
            continue
        difference = differences(found, reference)
        all_within &= all(difference[name] <= BOUNDS[name] for name in BOUNDS)
        print(f"{kernel:45}" + "".join(f"{difference[name]:22.1e}" for name in BOUNDS))
    print(f"{'allowed':45}" + "".join(f"{bound:22.1e}" for bound in BOUNDS.values()))
    return all_within


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
