import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent
INIT = (HERE / "tinyddpm" / "__init__.py").read_text(encoding="utf-8")
URLS: dict[str, str] = {}  # for whoever releases it: {"Source": "https://…", "Issues": "https://…"}


class SdistWithTests(sdist):
    """An sdist has, beside the package, what its tests need; this stands for a MANIFEST.in."""

    def make_distribution(self):
        for folder in ("tests", "demos", ".ci"):
            self.filelist.graft(folder)
        self.filelist.global_exclude("*.py[cod]")
        super().make_distribution()


setup(
    name="tinyddpm",
    version=re.search(r'^__version__ = "(.+)"$', INIT, re.MULTILINE)[1],
    description="Denoising diffusion probabilistic models in NumPy and autograd, "
                "with the ELBO computed term by term",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    project_urls=URLS,
    license="MIT AND CC-BY-SA-3.0",  # of the code, and of the digits
    license_files=["LICENSE", "tinyddpm/app/mnist_5k.LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["tinyddpm", "tinyddpm.*"]),
    package_data={"tinyddpm.app": ["mnist_5k.npz", "mnist_5k.LICENSE", "trained_digits.npz"]},
    entry_points={"console_scripts": ["tinyddpm = tinyddpm.app.command_line:main"]},
    cmdclass={"sdist": SdistWithTests},
    python_requires=">=3.10",
    # The lower bounds are the oldest versions that pass the tests: `tests/tools/versions.py`.
    install_requires=["numpy>=1.26", "autograd[scipy]>=1.7", "matplotlib>=3.6",
                      "threadpoolctl>=3.0", "tqdm>=4.34"],
    extras_require={
        "test": ["pytest>=7.4", "hypothesis>=6.0", "mpmath>=1.2.1", "pooch>=1.4"],
        "download": ["pooch>=1.4"],
        "coder": ["constriction"],  # demos/file_size.py
        "mpi": ["mpi4py", "mpich"],  # tinyddpm/app/ranks.py
        # The libraries that tests/implementations puts before the laws.
        "peers": ["torch", "diffusers", "denoising-diffusion-pytorch", "smalldiffusion"],
    },
)
