"""`make install`: quick when there is nothing to do, made anew when it cannot be trusted, one line when it cannot be.

Each test has a small project of its own, whose locks are empty and whose package needs no index: what is tried here is
the set-up's judgement, on real virtual environments. That the true locks install is what running this suite shows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)

BACKEND = '''
"""A build backend of a few lines: an editable wheel that holds nothing but its own metadata."""
import zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "tiny-1.dist-info"
    with zipfile.ZipFile(f"{wheel_directory}/tiny-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "tiny-1-py3-none-any.whl"

build_wheel = build_editable
'''


class Project:
    """A checkout that can be set up in a second or two."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stamp = root / ".venv" / "otp-relay-setup.json"

    def make(self, *goals: str, python: str = BASE_PYTHON) -> subprocess.CompletedProcess[str]:
        """`make` with these goals, as from a shell that knows nothing of this test's environment."""
        env = {
            name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "PIP_", "MFLAGS"))
        }
        command = ["make", f"PYTHON={python}", *goals]
        return subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, timeout=50, check=False
        )

    def made_at(self) -> int:
        """When `.venv` was last made from scratch: a new one has a new configuration file."""
        return (self.root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns


def bare_checkout(root: Path) -> Project:
    """A checkout in which nothing was set up."""
    (root / "requirements").mkdir(parents=True)
    for lock in ("runtime", "dev", "test", "build"):
        (root / "requirements" / f"{lock}.txt").write_text("")
    (root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "setup.py", root / ".ci")
    shutil.copy(ROOT / "Makefile", root)
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny"\nversion = "1"\n'
    )
    return Project(root)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return bare_checkout(tmp_path / "checkout")


@pytest.fixture(scope="module")
def first_set_up(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Set up once, for all: making a virtual environment takes seconds."""
    made = bare_checkout(tmp_path_factory.mktemp("set-up") / "checkout")
    ran = made.make("install")
    assert ran.returncode == 0, ran.stderr
    assert "setting up" in ran.stderr
    return made


@pytest.fixture
def installed(first_set_up: Project, tmp_path: Path) -> Project:
    """A copy that is as if it had been set up where it stands."""
    shutil.copytree(first_set_up.root, tmp_path / "checkout", symlinks=True)
    copied = Project(tmp_path / "checkout")
    stamp = json.loads(copied.stamp.read_text())
    copied.stamp.write_text(json.dumps({**stamp, "place": str(copied.root / ".venv")}))
    return copied


def test_a_second_set_up_does_nothing(installed: Project) -> None:
    made_at = installed.made_at()
    again = installed.make("install")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert installed.made_at() == made_at


def test_a_changed_lock_is_installed_where_it_is(installed: Project) -> None:
    made_at, stamp = installed.made_at(), installed.stamp.read_text()
    (installed.root / "requirements" / "dev.txt").write_text("# another\n")
    assert "setting up" in installed.make("install").stderr
    assert installed.stamp.read_text() != stamp
    assert installed.made_at() == made_at


def test_a_set_up_that_was_interrupted_is_made_from_scratch(installed: Project) -> None:
    made_at = installed.made_at()
    installed.stamp.unlink()
    assert installed.make("install").returncode == 0
    assert installed.made_at() != made_at


def test_a_set_up_that_failed_bears_no_stamp(installed: Project) -> None:
    (installed.root / "requirements" / "dev.txt").write_text("not-hashed==1\n")
    ran = installed.make("install")
    assert ran.returncode != 0
    assert "the set-up failed" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not installed.stamp.exists()


def test_a_set_up_that_was_moved_is_made_from_scratch(installed: Project) -> None:
    moved = Project(installed.root.rename(installed.root.with_name("elsewhere")))
    assert moved.make("install").returncode == 0
    assert json.loads(moved.stamp.read_text())["place"] == str(moved.root / ".venv")
    shebang = (moved.root / ".venv" / "bin" / "pip").read_text().splitlines()[0]
    assert str(moved.root) in shebang


def test_a_set_up_of_another_python_is_made_from_scratch(installed: Project) -> None:
    made_at, stamp = installed.made_at(), json.loads(installed.stamp.read_text())
    installed.stamp.write_text(json.dumps({**stamp, "python": "cpython-399 elsewhere"}))
    assert installed.make("install").returncode == 0
    assert installed.made_at() != made_at
    assert json.loads(installed.stamp.read_text()) == stamp


def test_it_can_be_run_with_its_own_python(installed: Project) -> None:
    installed.stamp.unlink()
    ran = installed.make("install", python=str(installed.root / ".venv" / "bin" / "python"))
    assert ran.returncode == 0, ran.stderr
    assert installed.make("install").stderr == ""


def test_what_the_tests_need_serves_a_run_as_well(installed: Project) -> None:
    assert "test.txt" in installed.make("install", "EXTRA=test").stderr
    assert installed.make("install").stderr == ""
    assert json.loads(installed.stamp.read_text())["extra"] == "test"


def test_many_goals_at_once_make_one_set_up(installed: Project) -> None:
    for tool in ("pytest", "ruff"):
        (installed.root / ".venv" / "bin" / tool).write_text("#!/bin/sh\n")
        (installed.root / ".venv" / "bin" / tool).chmod(0o755)
    (installed.root / "requirements" / "test.txt").write_text("# another\n")
    ran = installed.make("-j4", "test", "format")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("setting up") == 1


def test_two_set_ups_at_the_same_moment_make_one(installed: Project) -> None:
    (installed.root / "requirements" / "dev.txt").write_text("# another\n")
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(installed.make, ["install", "install"]))
    assert [each.returncode for each in ran] == [0, 0]
    assert "".join(each.stderr for each in ran).count("setting up") == 1


def test_a_python_without_venv_gets_one_line(project: Project, tmp_path: Path) -> None:
    bare = tmp_path / "python-bare"
    hide = "import sys; sys.modules['ensurepip'] = None; import importlib.util as u; import runpy; f = u.find_spec; "
    hide += "u.find_spec = lambda name: None if name == 'ensurepip' else f(name); sys.argv = sys.argv[1:]; "
    hide += "runpy.run_path(sys.argv[0], run_name='__main__')"
    bare.write_text(f'#!/bin/sh\nexec {BASE_PYTHON} -c "{hide}" "$@"\n')
    bare.chmod(0o755)
    ran = project.make("install", python=str(bare))
    [line, *of_make] = ran.stderr.splitlines()
    assert line == "otp-relay needs Python's venv module: apt install python3-venv"
    assert all(said.startswith("make") for said in of_make)
    assert not (project.root / ".venv").exists()


def test_too_old_a_python_gets_one_line(project: Project, tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    pretend = "import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = sys.argv[1:]; "
    pretend += "runpy.run_path(sys.argv[0], run_name='__main__')"
    old.write_text(f'#!/bin/sh\nexec {BASE_PYTHON} -c "{pretend}" "$@"\n')
    old.chmod(0o755)
    ran = project.make("install", python=str(old))
    assert ran.stderr.startswith("otp-relay needs Python 3.11 or later")
    assert "Traceback" not in ran.stderr
    assert not (project.root / ".venv").exists()


def test_no_python_at_all_gets_one_line(project: Project) -> None:
    ran = project.make("install", python="python-of-nowhere")
    assert ran.returncode != 0
    assert ran.stderr.startswith("otp-relay needs Python 3.11 or later: apt install python3 python3-venv")
