"""What is installed is the tree: each module once, under one name, from the tree and from the sdist alike."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The two halves of the science lie at the top; symlinks bring them into the package.
AT_THE_TOP = {"pyrovae": "pyrovae", "models": "pyrovae/models", "guides": "pyrovae/guides"}
NOT_SOURCE = {"build", "dist", "runs", "data"}

pytestmark = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="building without the network needs setuptools 77"
)


def modules(tree: Path) -> set[str]:
    """Every module of the tree by the name that it should have in a wheel."""
    found = set()
    for folder, inside in AT_THE_TOP.items():
        for here, _, files in os.walk(tree / folder):  # symlinks aren't followed: nothing counts twice
            at = Path(inside) / Path(here).relative_to(tree / folder)
            found |= {(at / name).as_posix() for name in files if name.endswith(".py")}
    return found


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that no stale build is packed, and with a folder that no list can know of."""

    def leave_out(folder: str, names: list[str]) -> set[str]:
        at_root = Path(folder) == ROOT
        return {
            name
            for name in names
            if name == "__pycache__"
            or (at_root and (name.startswith(".") or name in NOT_SOURCE or name.endswith(".egg-info")))
        }

    copy = tmp_path_factory.mktemp("packaging") / "tree"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=leave_out)
    for folder in ("models/added_today", "pyrovae/nets/added_today"):
        (copy / folder).mkdir()
        (copy / folder / "__init__.py").write_text('"""A new folder."""\n')
        (copy / folder / "idea.py").write_text('"""A new idea."""\n')
    return copy


@pytest.fixture(scope="module")
def built(tree: Path) -> dict[str, Path]:
    """A wheel of the tree, an sdist, and the wheel of the unpacked sdist."""
    build = (sys.executable, "-m", "build", "--no-isolation")
    # without --wheel, the sdist comes first and the wheel is made of what it holds
    run(*build, "--outdir", str(tree.parent / "of sdist"), ".", cwd=tree)
    run(*build, "--wheel", "--outdir", str(tree.parent / "of tree"), ".", cwd=tree)
    (sdist,) = (tree.parent / "of sdist").glob("*.tar.gz")
    (of_sdist,) = (tree.parent / "of sdist").glob("*.whl")
    (of_tree,) = (tree.parent / "of tree").glob("*.whl")
    return {"sdist": sdist, "of sdist": of_sdist, "of tree": of_tree}


def test_the_halves_of_the_science_are_symlinked_into_the_package() -> None:
    assert {name: os.readlink(ROOT / "pyrovae" / name) for name in ("models", "guides")} == {
        "models": "../models",
        "guides": "../guides",
    }


@pytest.mark.parametrize("which", ["of tree", "of sdist"])
def test_a_wheel_holds_every_module_once_and_nothing_else(
    tree: Path, built: dict[str, Path], which: str
) -> None:
    with zipfile.ZipFile(built[which]) as wheel:
        names = wheel.namelist()
    package = [name for name in names if not name.split("/")[0].endswith(".dist-info")]
    assert sorted(package) == sorted(modules(tree) | {"pyrovae/py.typed"})
    assert {
        "pyrovae/models/added_today/idea.py",
        "pyrovae/nets/added_today/idea.py",
        "pyrovae/models/vae.py",
        "pyrovae/guides/amortized.py",
    } <= set(package)
    top = {name.split("/")[0] for name in names}
    assert top == {"pyrovae", f"pyrovae-{built[which].name.split('-')[1]}.dist-info"}


def test_the_sdist_holds_every_module_as_a_file(tree: Path, built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        files = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    missing = (modules(tree) | {"pyrovae/py.typed", "pyproject.toml", "README.md", "LICENSE"}) - files
    assert not missing


@pytest.mark.parametrize("which", ["of tree", "of sdist"])
def test_a_wheel_is_found_by_python(built: dict[str, Path], tmp_path: Path, which: str) -> None:
    with zipfile.ZipFile(built[which]) as wheel:
        wheel.extractall(tmp_path / "site")
    code = "import importlib.util as u; print(u.find_spec('pyrovae.models').origin, u.find_spec('models'))"
    out = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert out.split() == [str(tmp_path / "site" / "pyrovae" / "models" / "__init__.py"), "None"]
