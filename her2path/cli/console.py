"""What commands share: where they write, and how they end."""

from __future__ import annotations

import codecs
import errno
import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from her2path.errors import Her2pathError

__all__ = [
    "ERRORS",
    "OUTPUT",
    "SOME_FAILED",
    "check_free",
    "fail",
    "new_file",
    "readable_errors",
    "readable_output",
    "refuse_empty",
    "refuse_resume_and_overwrite",
    "refuse_unused",
    "set_up_logging",
    "set_up_outputs",
    "use_threads",
]

# Results that were asked for go to standard output, all else to standard error. As it is written:
# brackets and colons of a path are no markup and no picture.
OUTPUT = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
ERRORS = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)

# How a command ends; 0 where all went well.
SOME_FAILED = 1
WRONG_USE = 2
# What a shell expects of a program that was interrupted.
INTERRUPTED = 130
# What the system says where an output takes no more: a disk or a quota is full, or it is broken.
LOST_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
# Of what the encoding of an output has no letter for.
ESCAPED = "her2path-escaped"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def escaped(error: UnicodeError) -> tuple[str, int]:
    """Return the letters that an encoding lacks as JSON writes them, which text bears as well."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = [letters[at : at + 2].hex() for at in range(0, len(letters), 2)]
    return "".join(f"\\u{unit}" for unit in units), error.end


class Unbroken(io.TextIOWrapper):
    """Standard error that takes what it can: a full disk under a log ends no run of many hours."""

    def write(self, text: str, /) -> int:
        """Write, or lose the words."""
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what is held back, or lose it."""
        with suppress(OSError):
            super().flush()


def set_up_outputs() -> None:
    """Let no letter end the program that an output cannot take, and write files as UTF-8.

    A terminal may lack many signs, and bytes of a file name may be no letters anywhere. What JSON
    escapes is read back as it was. What goes into a file or to another program, such as a recipe
    that is to be read again, is UTF-8 as all that her2path writes, unless a user says otherwise.
    """
    codecs.register_error(ESCAPED, escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_file = stream is sys.stdout and not stream.isatty()
            is_free = is_file and "PYTHONIOENCODING" not in os.environ
            stream.reconfigure(encoding="utf-8" if is_free else None, errors=ESCAPED)
    if isinstance(sys.stderr, io.TextIOWrapper):
        # A copy of its own: what the other holds back stays with it.
        sys.stderr.flush()
        sys.stderr = Unbroken(
            os.fdopen(os.dup(sys.stderr.fileno()), "wb", buffering=0),
            encoding=sys.stderr.encoding,
            errors=ESCAPED,
            line_buffering=True,
            write_through=True,
        )


def fail(message: str, *, status: int = WRONG_USE) -> typer.Exit:
    """Say what is wrong and return the exception that ends the program."""
    ERRORS.print(Text("her2path: ", style="bold red"), Text(message), sep="", end="\n")
    return typer.Exit(status)


def new_file(out: Path, *, suffix: str, what: str, overwrite: bool) -> Path:
    """Return the whole path of a file to be written, or end the program where it cannot go there.

    Parameters
    ----------
    out : Path
        As `--out` names it.
    suffix, what : str
        What its name must end in, and what it holds ("a calibration is a JSON file").
    overwrite : bool
        Whether a file that is there may go.
    """
    path = Path(os.path.abspath(out))
    if path.suffix.lower() != suffix:
        raise fail(f"--out {out}: {what}; name it {out.stem or 'new'}{suffix}")
    if not path.parent.is_dir():
        raise fail(f"--out {out}: the folder {path.parent} does not exist; make it first")
    # Known now, and not after hours of measuring.
    if path.is_dir():
        raise fail(f"--out {out} is a folder; {what}: name one in it")
    if not os.access(path.parent, os.W_OK):
        raise fail(f"--out {out}: you may not write into {path.parent}; choose another folder")
    if path.exists() and not overwrite:
        raise fail(f"--out {out} is there already; add --overwrite to replace it")
    return path


def check_free(out: Path, document: str, what: str, remedy: str) -> None:
    """End the program where a folder holds what nobody said may be lost or mixed with.

    Parameters
    ----------
    out : Path
        Folder to be written into.
    document : str
        File that says that the command has written into it before.
    what, remedy : str
        What that was, and the option to add.
    """
    from her2path.results.folder import ResultsFolder

    if (out / document).exists():
        raise fail(f"--out {out} holds {what} already; choose another folder, or add {remedy}")
    results = ResultsFolder(out)
    if results.journal.exists() or results.run_json.exists():
        raise fail(
            f"--out {out} is a results folder of her2path score; choose another folder, or add "
            "--overwrite to write into it all the same"
        )


def refuse_resume_and_overwrite(*, resume: bool, overwrite: bool) -> None:
    """End the program where both were asked for."""
    if resume and overwrite:
        raise fail("--resume keeps what is done and --overwrite scores it again; choose one")


def refuse_unused(context: typer.Context, options: Iterable[str], why: str) -> None:
    """End the program where options were given that nothing would come of.

    Parameters
    ----------
    context : typer.Context
        Of the command that runs.
    options : iterable of str
        Names of its parameters.
    why : str
        Why they would do nothing, and what to do instead.
    """
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    given = []
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given.append(flags[name])
    if given:
        raise fail(f"{', '.join(given)}: {why}")


def refuse_empty(arguments: Sequence[str]) -> None:
    """End the program where an argument has no text: as a path it would be the current folder."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        option, equals, value = argument.partition("=")
        if argument and (value or not equals or not option.startswith("--")):
            continue
        name = option or (before if before.startswith("-") else "an argument")
        fail(
            f"{name} is empty, as from a variable of the shell that is not set; give a value, or "
            "leave it out"
        )
        raise SystemExit(WRONG_USE)


@contextmanager
def readable_errors(
    *, debug: bool, resumes: bool = True, goes_on: str = "from here"
) -> Iterator[None]:
    """Turn errors of her2path, and of the system about a file, into one message.

    With `debug` there is a traceback as well.

    `resumes` says whether a command that was interrupted can go on, `goes_on` from where.
    """
    try:
        yield
    except Her2pathError as error:
        if debug:
            ERRORS.print_exception()
        raise fail(str(error)) from error
    except OSError as error:
        # Of the system itself, such as a folder that may not be looked into.
        if error.filename is None:
            if not isinstance(error, FileNotFoundError):
                raise
            # Paths are made whole with the current folder before they are looked at.
            raise fail("the current folder was deleted; change to another") from error
        if debug:
            ERRORS.print_exception()
        raise fail(
            f"{error.filename} cannot be used ({error.strerror}); check the path and your rights"
        ) from error
    except KeyboardInterrupt as error:
        remedy = f"; --resume goes on {goes_on}" if resumes else ""
        raise fail(f"interrupted{remedy}", status=INTERRUPTED) from error


@contextmanager
def readable_output() -> Iterator[None]:
    """Turn what the system says of standard output, such as a full disk, into one message."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in LOST_OUTPUT:
            raise
        # What Python holds back for it would be written, and fail, once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"what was to be printed is lost ({error.strerror}); files that were written stay")
        raise SystemExit(SOME_FAILED) from error


def set_up_logging(*, debug: bool) -> None:
    """Show warnings, and with `debug` everything, on standard error."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=ERRORS, show_time=False, show_path=debug)],
    )
    if debug:
        logging.getLogger("her2path").setLevel(logging.DEBUG)


def use_threads(n: int) -> None:
    """Keep libraries to `n` threads each; must come before they are imported.

    One where processes share the work. What a user has set stays.
    """
    for variable in THREADS:
        os.environ.setdefault(variable, str(n))
