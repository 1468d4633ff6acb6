"""`chartlake`: the command line. One module per command in `service/commands/`.

Exit codes: 0 done, 1 refused or failed (one line on stderr says why), 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from typing import NoReturn

from schemas.outcomes import FhirError
from schemas.releases import ReleaseError
from service.client import ServiceError
from service.commands import COMMANDS
from service.errors import unexpected
from service.settings import SettingError


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and end with exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = OneLineParser(
        prog="chartlake", description="An open, self-hosted FHIR health data lake."
    )
    parser.add_argument("--version", action="version", version=version("chartlake"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; never shows a stack trace."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except FhirError as failure:
        message = "; ".join(_line(issue.expression, issue.diagnostics) for issue in failure.issues)
    except (SettingError, ServiceError, ReleaseError) as failure:
        message = str(failure)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except OSError as failure:
        message = f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure)
    except Exception as failure:
        message = unexpected(failure).issues[0].diagnostics
    print(f"chartlake: {message}", file=sys.stderr)
    return 1


def _line(expression: tuple[str, ...], diagnostics: str) -> str:
    return f"{', '.join(expression)}: {diagnostics}" if expression else diagnostics


if __name__ == "__main__":
    sys.exit(main())
