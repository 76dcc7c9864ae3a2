from pathlib import Path

from setuptools import setup

setup(
    name="tinyddpm",
    version="0.1.0",
    description="Denoising diffusion probabilistic models in NumPy and autograd, with the ELBO computed term by term",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=["tinyddpm", "tinyddpm.network", "tinyddpm.network.primitives", "tinyddpm.network.primitives.fast",
              "tinyddpm.images", "tinyddpm.app"],
    package_data={"tinyddpm.app": ["mnist_5k.npz"]},
    python_requires=">=3.10",
    install_requires=["numpy>=1.26", "autograd[scipy]>=1.7", "matplotlib>=3.6", "threadpoolctl", "tqdm"],
    extras_require={
        "test": ["pytest", "hypothesis", "mpmath", "pooch"],
        "download": ["pooch"],
        "peers": ["torch", "diffusers", "denoising-diffusion-pytorch", "smalldiffusion"],  # on trial before tests/laws
    },
)
