"""What an installation gets: the sdist has its tests, the wheel its command and both licences."""
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

pytest.importorskip("setuptools")
ROOT = Path(__file__).parents[2]
FOLDERS = ("tinyddpm", "tests", "demos", ".ci")
FILES = ("setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the repository's files, with the litter that working in it leaves."""
    copy = tmp_path_factory.mktemp("package") / "tinyddpm"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for folder in ("tinyddpm", "tests/unit", "demos"):
        (copy / folder / "__pycache__").mkdir()
        (copy / folder / "__pycache__" / "x.cpython-313.pyc").write_bytes(b"")
    (copy / "demo-out").mkdir()
    (copy / "demo-out" / "report.json").write_text("{}")
    return copy


def build(source, what):
    """The file that `setup.py sdist` or `bdist_wheel` writes."""
    done = subprocess.run([sys.executable, "-W", "ignore", "setup.py", "-q", what, "-d", "built"],
                          cwd=source, capture_output=True, text=True)
    if "invalid command 'bdist_wheel'" in done.stderr:
        pytest.skip("setuptools before 70.1 needs the package wheel")
    assert done.returncode == 0, done.stderr
    suffix = "*.tar.gz" if what == "sdist" else "*.whl"
    return next((source / "built").glob(suffix))


def test_the_sdist_has_every_file_and_no_litter(source):
    with tarfile.open(build(source, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if "." in name}
        packed = {name for name in names if archive.getmember(f"{archive.getnames()[0]}/{name}"
                                                              ).isfile()}
    expected = {path.relative_to(source).as_posix() for name in FOLDERS
                for path in (source / name).rglob("*") if path.is_file()}
    expected = {name for name in expected if not name.endswith(".pyc")} | set(FILES)
    written = {name for name in packed if "egg-info" in name} | {"PKG-INFO", "setup.cfg"}
    assert packed - written == expected


def test_the_wheel_has_the_package_its_command_and_both_licences(source):
    with zipfile.ZipFile(build(source, "bdist_wheel")) as wheel:
        names = wheel.namelist()
        info = next(name for name in names if name.endswith("dist-info/METADATA"))
        metadata = message_from_string(wheel.read(info).decode())
        commands = wheel.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert {name.partition("/")[0] for name in names} == {"tinyddpm", info.partition("/")[0]}
    assert "tinyddpm = tinyddpm.app.command_line:main" in commands
    assert {"tinyddpm/app/mnist_5k.npz", "tinyddpm/app/mnist_5k.LICENSE"} <= set(names)
    licences = [Path(name).name for name in names if "dist-info" in name and "LICENSE" in name]
    assert sorted(licences) == ["LICENSE", "mnist_5k.LICENSE"]
    assert "MIT AND CC-BY-SA-3.0" in (metadata["License"], metadata["License-Expression"])
    required = [text for text in metadata.get_all("Requires-Dist") if "peers" not in text]
    assert required and all(">=" in text for text in required)
