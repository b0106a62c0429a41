"""The command line's root."""

from __future__ import annotations

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Put a deep-learning lecture's claims to the test: run a study, judge it, draw it, report it.",
    epilog="A first look: claimcheck list; claimcheck run gradient_flow --scale smoke. "
    "The whole pipeline: snakemake --cores 2.",
)
