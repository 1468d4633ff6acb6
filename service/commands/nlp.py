"""`chartlake nlp ACTION`: one module per action, `service/commands/nlp_*.py`."""

from __future__ import annotations

from typing import Any

from service.commands import (
    nlp_annotate,
    nlp_deidentify,
    nlp_eval,
    nlp_queue,
    nlp_sig,
    nlp_train,
)

ACTIONS = (nlp_annotate, nlp_deidentify, nlp_sig, nlp_queue, nlp_eval, nlp_train)


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("nlp", help="read texts, look after the reading of notes")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in ACTIONS:
        action.register(actions)
