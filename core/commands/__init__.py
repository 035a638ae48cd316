"""The commands of the command line: one function per command that declares its arguments and what runs."""

import sys


def complain(problem: str) -> None:
    """One sentence on stderr, in place of a line of progress that may stand there."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{clear}vitrine: {' '.join(problem.split())}", file=sys.stderr)
