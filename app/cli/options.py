"""Options that several commands share."""

from __future__ import annotations

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
