import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "tinyddpm" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="tinyddpm",
    version=re.search(r'^__version__ = "(.+)"$', INIT, re.MULTILINE)[1],
    description="Denoising diffusion probabilistic models in NumPy and autograd, "
                "with the ELBO computed term by term",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["tinyddpm", "tinyddpm.*"]),
    package_data={"tinyddpm.app": ["mnist_5k.npz"]},
    python_requires=">=3.10",
    install_requires=["numpy>=1.26", "autograd[scipy]>=1.7", "matplotlib>=3.6", "threadpoolctl",
                      "tqdm"],
    extras_require={
        "test": ["pytest", "hypothesis", "mpmath", "pooch"],
        "download": ["pooch"],
        "coder": ["constriction"],  # demos/file_size.py
        # The libraries that tests/implementations puts before the laws.
        "peers": ["torch", "diffusers", "denoising-diffusion-pytorch", "smalldiffusion"],
    },
)
