"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Url = Annotated[
    str | None, typer.Option(help="Address of a running service (or RAPTOR_URL). By default that of this data folder.")
]
Key = Annotated[str | None, typer.Option("--api-key", help="API key of that service (or RAPTOR_API_KEY).")]
DatasetId = Annotated[str, typer.Option("--dataset", "-d", help="The dataset.")]
Refine = Annotated[
    Literal["off", "heuristic", "llm"] | None,
    typer.Option(
        help="How to remove noise from passages: not at all, by patterns, or as the chat model decides. By default the"
        " service's setting."
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        help="The folder that paths count from; a document is known by its path in it. By default the working"
        " directory.",
        exists=True,
        file_okay=False,
    ),
]
MaxCost = Annotated[float | None, typer.Option(help="Limit in US dollars for all files and their tree.")]
