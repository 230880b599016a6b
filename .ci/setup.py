"""Makes `.venv` hold exactly what a lock file says, and the project itself, editable.

Owns `.venv` and its stamp. Runs on the machine's own Python, so it uses the standard library alone, and must stay
readable to Pythons older than the project's, which it turns away in one line. The stamp is written last: a set-up
that was interrupted, copied elsewhere or made with another Python has no good stamp, and is made from scratch.
"""

import fcntl
import hashlib
import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "otp-relay-setup.json"
LOCKS = {"dev": ["build", "dev"], "test": ["build", "test"]}
"""Which files of requirements/ each set-up installs. What `test` holds, `dev` needs no more of."""


def complaint():
    """What this Python lacks, as one line for a person; None if nothing."""
    if sys.version_info < (3, 11):  # noqa: UP036
        found = platform.python_version()
        return f"otp-relay needs Python 3.11 or later, and {sys.executable} is {found}: try make PYTHON=python3.12"
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return "otp-relay needs Python's venv module: apt install python3-venv"
    return None


def stamp_for(extra):
    """The stamp of a finished set-up: where it stands, which Python made it, and from which files."""
    sources = hashlib.sha256()
    for path in [ROOT / "pyproject.toml", *sorted((ROOT / "requirements").glob("*.txt"))]:
        sources.update(path.read_bytes())
    return {
        "place": str(VENV),
        "python": f"{sys.implementation.cache_tag} {platform.machine()} {sys.base_prefix}",
        "sources": sources.hexdigest(),
        "extra": extra,
    }


def found_stamp():
    """The stamp that `.venv` bears; an empty one if it bears none, or its interpreter is gone."""
    if not (VENV / "bin" / "python").exists():
        return {}
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def is_current(found, wanted):
    """Whether nothing is to be done."""
    return found in (wanted, {**wanted, "extra": "test"})


def is_sound(found, wanted):
    """Whether `.venv` may be brought up to date where it is, rather than made anew."""
    return all(found.get(part) == wanted[part] for part in ("place", "python"))


def install(extra):
    """Has pip install the locks, each file checked against its hash, then the project with the locked backend."""
    pip = [
        VENV / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-input",
    ]
    locked = [part for name in LOCKS[extra] for part in ("--requirement", f"requirements/{name}.txt")]
    subprocess.run([*pip, "--require-hashes", *locked], cwd=ROOT, check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], cwd=ROOT, check=True)


def set_up(extra):
    """Brings `.venv` to `extra`. Whoever asks at the same moment waits, and then finds it done."""
    with (ROOT / "pyproject.toml").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        wanted, found = stamp_for(extra), found_stamp()
        if is_current(found, wanted):
            return
        print(f"setting up .venv from requirements/{extra}.txt (a minute or so, this once)", file=sys.stderr)
        STAMP.unlink(missing_ok=True)
        if not is_sound(found, wanted):
            subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        install(extra)
        half_written = STAMP.with_suffix(".new")
        half_written.write_text(json.dumps(wanted))
        half_written.replace(STAMP)


def main():
    """Exits 1 with one line where the set-up cannot be made, or 130 where a person interrupts it."""
    fault = complaint()
    if fault:
        sys.exit(fault)
    try:
        set_up(sys.argv[1] if len(sys.argv) > 1 else "dev")
    except subprocess.CalledProcessError:
        sys.exit("the set-up failed; what pip says is above. Mend it and run the same command again.")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
