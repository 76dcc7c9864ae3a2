"""The same float32 numbers on other processors?  OpenBLAS and NumPy choose their kernels by processor; here they are told to take others.

    python tests/tools/kernels.py

Compared with the plainest kernel: a network's answer, its gradient, and where forty steps of training lead.  They
differ in the last digits, because sums are taken in another order; by no more than BOUNDS.  The suite tries two
(test_kernels.py).
"""
import json
import os
import subprocess
import sys

import numpy as np

KERNELS = {"Prescott": {}, "Nehalem": {}, "Sandybridge": {}, "Haswell": {}, "Zen": {}, "SkylakeX": {},
           "Haswell, two threads": {"OPENBLAS_NUM_THREADS": "2"}, "Haswell, NumPy without AVX2 and AVX512": {
               "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"}}
# Of the largest entry: ten times, or a hundred, what was seen; 24 bits are 6e-8, and a layer sums up to 600 products.
BOUNDS = {"answer": 5e-6, "gradient": 5e-6, "loss after 40 steps": 1e-4}

WORK = '''
import json, sys
import numpy as np
from autograd import value_and_grad
from tinyddpm import conv_denoiser, cosine, mlp, simple_loss, train, training
from tinyddpm.network.weights import pack, unpack

schedule, found = cosine(100), {}
for name, network, shape in (("mlp", mlp(2, 96, 2), (2,)), ("conv", conv_denoiser(1, 16, 1, 1), (12, 12))):
    rng = np.random.default_rng(0)
    weights = pack(network.init(rng))
    weights += np.float32(0.02) * rng.standard_normal(weights.shape, np.float32)  # the last layer no longer silent
    template = network.init(np.random.default_rng(0))
    x, eps = rng.standard_normal((2, 16, *shape), np.float32)
    t = rng.integers(1, 100, 16)
    loss = lambda w: simple_loss(schedule, training.denoiser(schedule, network, unpack(w, template)), x, t, eps)
    found[name] = {"answer": training.denoiser(schedule, network, weights)(x, t).ravel().tolist(),
                   "gradient": value_and_grad(loss)(weights)[1].tolist(),
                   "loss after 40 steps": [step.loss for step in train(
                       network, schedule, lambda rng, n: rng.standard_normal((n, *shape), np.float32), rng, 40, 16, learning_rate=lambda *_: 1e-2)][-1:]}
json.dump(found, sys.stdout)
'''


def numbers(kernel):
    """What a process finds that must take this kernel, or None where it can't."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": kernel.partition(",")[0], **KERNELS[kernel]}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WORK], env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def differences(found, reference):
    """{quantity: the largest difference, as a fraction of the largest entry}, over both networks."""
    return {name: max(float(np.max(np.abs(np.subtract(found[network][name], reference[network][name]))) / np.max(np.abs(reference[network][name])))
                      for network in found) for name in BOUNDS}


def main():
    reference, good = numbers("Prescott"), True
    print(f"{'kernel':45}" + "".join(f"{name:>22}" for name in BOUNDS))
    for kernel in KERNELS:
        found = numbers(kernel)
        if found is None:
            print(f"{kernel:45} does not run on this processor")
            continue
        apart = differences(found, reference)
        good &= all(apart[name] <= BOUNDS[name] for name in BOUNDS)
        print(f"{kernel:45}" + "".join(f"{apart[name]:22.1e}" for name in BOUNDS))
    print(f"{'allowed':45}" + "".join(f"{bound:22.1e}" for bound in BOUNDS.values()))
    return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
