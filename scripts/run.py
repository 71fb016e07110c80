"""Make the environment of this checkout and run its commands in it. Standard library only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "her2path-stamp.json"
UNFINISHED = VENV / "her2path-unfinished"
DEMO_SLIDES = ROOT / "sample_slides" / "manifest.csv"
DEMO_RESULTS = ROOT / "demo_results"
PYTHON_FLOOR = (3, 11)

HELP = """\
usage: python3 scripts/run.py COMMAND [ARGUMENT ...]

Run her2path from a fresh clone. Each command first makes .venv in this folder, with the exact
versions of constraints.txt. That needs a package index once; afterwards it works offline, until
pyproject.toml, constraints.txt or the Python in use changes.

  setup   make the environment, nothing else
  demo    score sample_slides/ into demo_results/ and say where the report is
  test    lint, types, then all tests on two processes   (arguments go to pytest)
  lint    ruff, formatting, types, spelling
  bench   measure speed against floors and peers          (arguments go to scripts/benchmark.py)

examples:
  python3 scripts/run.py demo
  python3 scripts/run.py test -k floors
  python3 scripts/run.py bench --help

Afterwards, to use the command line itself on your own slides:
  {activate}
  her2path --help

For research use only. Not for use in diagnostic procedures."""

# What pip says when it cannot reach an index, as against finding a real conflict.
NO_INDEX_SIGNS = (
    "connection broken",
    "connecttimeout",
    "failed to establish a new connection",
    "name resolution",
    "network is unreachable",
    "newconnectionerror",
    "proxyerror",
    "read timed out",
)
# What it says as well where an index answered, but has nothing for this Python and machine.
NO_FILE_SIGN = "from versions: none"


class RunError(Exception):
    """A command cannot go on; the message says what to do."""


def venv_tool(name: str, venv: Path = VENV, system: str = os.name) -> Path:
    """Return the path of a program inside the environment, on Windows too."""
    return venv / "Scripts" / f"{name}.exe" if system == "nt" else venv / "bin" / name


def check_python(version: tuple[int, ...]) -> None:
    """Raise RunError below the oldest Python that the package supports."""
    if version[:2] < PYTHON_FLOOR:
        have, need = (".".join(map(str, v[:2])) for v in (version, PYTHON_FLOOR))
        raise RunError(
            f"this is Python {have}, and her2path needs {need} or newer.\n"
            f"Start it with a newer one, for example: python{need} scripts/run.py demo"
        )


def environment_key(root: Path, python: str) -> str:
    """Return the hash of all that decides what is installed."""
    digest = hashlib.sha256(python.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        # Newlines made equal: a checkout on Windows may have turned them.
        digest.update((root / name).read_text(encoding="utf-8").encode())
    digest.update(str(root).encode())
    return digest.hexdigest()


def installed_extras(stamp: Path, key: str) -> set[str] | None:
    """Return the extras that a finished environment of this key holds, None when it is another."""
    try:
        record = json.loads(stamp.read_text(encoding="utf-8"))
        return set(record["extras"]) if record["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_usable(venv: Path) -> bool:
    """Tell whether the environment has a pip that starts under this version of Python."""
    if (venv / UNFINISHED.name).exists():
        return False
    # The part that starts: of a pip that is half there the name alone can be imported.
    probe = "import pip._internal.cli.main, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        found = subprocess.run(
            [venv_tool("python", venv), "-c", probe],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return found.stdout.strip() == "{}.{}".format(*sys.version_info[:2])


def is_at_home(venv: Path) -> bool:
    """Tell whether the environment was made where it lies: activating it goes by that path."""
    try:
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    made = [line for line in lines if line.startswith("command = ")]
    return all(os.path.normcase(line).endswith(os.path.normcase(f" {venv}")) for line in made)


def make_venv() -> None:
    """Make .venv anew, removing what is left of an older one."""
    say(f"making {VENV.name} with Python {platform.python_version()}")
    try:
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
        VENV.mkdir()
        # From the start: pip itself may be copied in by halves.
        UNFINISHED.touch()
    except OSError as error:
        raise RunError(
            f"{VENV} cannot be replaced ({error.strerror or error}). Remove it, then run the same "
            "command again."
        ) from error
    build_venv()


def build_venv(*options: str) -> None:
    """Let Python write an environment into .venv; what was installed there stays."""
    # The interpreter below any environment that this script itself was started in.
    python = getattr(sys, "_base_executable", None) or sys.executable
    try:
        subprocess.run([python, "-m", "venv", *options, str(VENV)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(
            "Python could not make a virtual environment; its own words are above. Where they "
            "speak of ensurepip, as on Debian and Ubuntu, install the package python3-venv, then "
            "try again."
        ) from error


def pip_install(*requirements: str) -> None:
    """Install under constraints.txt; raise RunError with a remedy when pip fails."""
    command = [
        str(venv_tool("python")),
        *("-m", "pip", "install", "--disable-pip-version-check", "--retries", "2"),
        *("--progress-bar", "on" if sys.stdout.isatty() else "off"),
        *("--constraint", str(ROOT / "constraints.txt"), *requirements),
    ]
    complaints = []
    # What pip says may quote bytes that are no letters here.
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            complaints.append(line.lower())
    if process.returncode == 0:
        return
    if any(sign in line for line in complaints for sign in NO_INDEX_SIGNS):
        raise RunError(
            "the packages could not be fetched: no package index answered.\n"
            "The first run, and each run after pyproject.toml or constraints.txt changed, needs "
            "the network once.\nBehind a proxy set HTTPS_PROXY; for a mirror or a folder of wheels "
            "set PIP_INDEX_URL or PIP_FIND_LINKS. Then run the same command again."
        )
    if any(NO_FILE_SIGN in line for line in complaints):
        raise RunError(
            "a package has no file for Python "
            f"{platform.python_version()} on {sys.platform} {platform.machine()} where pip looked; "
            "its own words are above.\nStart this with another Python. Where PIP_NO_INDEX, "
            "PIP_INDEX_URL or PIP_FIND_LINKS is set, look whether the package is there."
        )
    raise RunError("pip could not install the packages; its own words are above.")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other start of this script makes the environment: it would be taken away."""
    with open(__file__, "rb") as script:
        try:
            import fcntl
        except ImportError:
            # Windows, whose locks would keep others from reading the script.
            yield
            return
        try:
            fcntl.flock(script, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start of this script makes the environment; waiting for it")
            fcntl.flock(script, fcntl.LOCK_EX)
        except OSError:
            # Some network folders know no locks.
            pass
        yield


@alone()
def prepare(*extras: str) -> None:
    """Make sure that .venv holds the package with these extras; quick when nothing changed."""
    python = f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()}"
    key = environment_key(ROOT, python)
    usable = is_usable(VENV)
    at_home = usable and is_at_home(VENV)
    present = installed_extras(STAMP, key) if at_home else None
    if present is not None and present.issuperset(extras):
        return
    if not usable:
        make_venv()
    elif not at_home:
        # The folder was moved or copied: what activates .venv still leads to the old place.
        build_venv("--without-pip")
    wanted = sorted({*extras, *(present or ())})
    say("installing the pinned packages (some minutes the first time)")
    STAMP.unlink(missing_ok=True)
    UNFINISHED.touch()
    try:
        # The build tool is pinned too, which pip's own build isolation would not do.
        pip_install("setuptools")
        # Not by its path, whose brackets pip would take for extras.
        target = f".[{','.join(wanted)}]" if wanted else "."
        pip_install("--no-build-isolation", "--editable", target)
    except RunError:
        # pip ended by itself, so what it leaves is sound; only a killed one leaves the mark.
        UNFINISHED.unlink()
        raise
    STAMP.write_text(json.dumps({"key": key, "extras": wanted}), encoding="utf-8")
    UNFINISHED.unlink()


def tool_environment() -> dict[str, str]:
    """Return the variables that tools run under: one thread each, since pytest runs two."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        environment.setdefault(name, "1")
    environment.setdefault("MPLBACKEND", "Agg")
    return environment


def call(*command: str | Path, environment: dict[str, str] | None = None) -> int:
    """Run a program in the root of the repository and return its exit status."""
    sys.stdout.flush()
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment).returncode


def say(text: str) -> None:
    """Print a line of our own at once, so that it stands before what the tools print."""
    print(f"run.py: {text}", flush=True)


def failed_lint_steps() -> list[str]:
    """Run every lint step and return the names of those that failed."""
    python, environment = venv_tool("python"), tool_environment()
    texts = ["her2path", "tests", "scripts", "docs", "README.md", "CHANGELOG.md"]
    steps = {
        "ruff check": ("ruff", "check", "."),
        "ruff format": ("ruff", "format", "--check", "."),
        "mypy": ("mypy",),
        "codespell": ("codespell_lib", *texts),
    }
    failed = []
    for name, arguments in steps.items():
        say(name)
        if call(python, "-m", *arguments, environment=environment):
            failed.append(name)
    return failed


def setup(arguments: list[str]) -> int:
    """Make the environment for use."""
    refuse(arguments)
    prepare()
    say(f"ready: {activate_line()}")
    return 0


def demo(arguments: list[str]) -> int:
    """Score the sample slides and say where the report is."""
    if any(word.split("=")[0] in ("--out", "-o") for word in arguments):
        raise RunError(
            f"the demo writes into {DEMO_RESULTS.name}/; her2path score takes another folder"
        )
    prepare()
    report = DEMO_RESULTS / "report.html"
    # One of an earlier run must not pass for this run's.
    report.unlink(missing_ok=True)
    begun = time.monotonic()
    # The folder is the demo's own: what an earlier one left there is not kept.
    again = () if "--resume" in arguments else ("--overwrite",)
    status = call(
        *(venv_tool("her2path"), "score", DEMO_SLIDES, "--out", DEMO_RESULTS),
        *(*again, *arguments),
    )
    if not report.is_file():
        say(f"scoring ended with status {status} and wrote no report; see the messages above")
        return status or 1
    say(f"done in {time.monotonic() - begun:.0f} s")
    say(f"report: {report}")
    say(f"table, with the expected score of each slide: {DEMO_RESULTS / 'slides.csv'}")
    return status


def test(arguments: list[str]) -> int:
    """Lint, then run the tests; pytest's closing line comes last."""
    prepare("lint", "test")
    failed = failed_lint_steps()
    say("pytest")
    tests = call(
        *(venv_tool("python"), "-m", "pytest", "-n", "2", *arguments),
        environment=tool_environment(),
    )
    if failed:
        say(f"the tests ended with status {tests}, but these failed: {', '.join(failed)}")
    return tests or int(bool(failed))


def lint(arguments: list[str]) -> int:
    """Run the lint steps alone."""
    refuse(arguments)
    prepare("lint")
    failed = failed_lint_steps()
    say(f"failed: {', '.join(failed)}" if failed else "all clean")
    return int(bool(failed))


def bench(arguments: list[str]) -> int:
    """Measure speed; more about it in scripts/benchmark.py."""
    prepare()
    return call(venv_tool("python"), ROOT / "scripts" / "benchmark.py", *arguments)


def refuse(arguments: list[str]) -> None:
    """Raise RunError when a command that takes no arguments was given some."""
    if arguments:
        raise RunError(f"this command takes no arguments, got: {' '.join(arguments)}")


def activate_line() -> str:
    """Return what a person types to use the environment."""
    return r".venv\Scripts\activate" if os.name == "nt" else ". .venv/bin/activate"


# Those whose arguments are for another program, its help as well.
PASSED_ON = ("test", "bench")
COMMANDS = {"setup": setup, "demo": demo, "test": test, "lint": lint, "bench": bench}


def main(argv: list[str]) -> int:
    """Run one command; return its exit status, 2 for wrong use."""
    ours = argv[:1] if argv and argv[0] in PASSED_ON else argv
    if not argv or argv[0] == "help" or not {"-h", "--help"}.isdisjoint(ours):
        print(HELP.format(activate=activate_line()))
        return 0 if argv else 2
    try:
        check_python(tuple(sys.version_info))
        if argv[0] not in COMMANDS:
            known = ", ".join(COMMANDS)
            print(f"run.py: no command {argv[0]!r}; there are {known}", file=sys.stderr)
            return 2
        return COMMANDS[argv[0]](argv[1:])
    except RunError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("run.py: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
