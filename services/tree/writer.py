"""Which model writes the summaries of a dataset's next tree."""

from __future__ import annotations

from services.cost.budget import CallContext
from services.models.registry import Models
from services.text.extractive import NAME as EXTRACTIVE
from services.tree.nodes import Tree


def writer_of(models: Models, wanted: str, live: Tree | None, context: CallContext) -> str:
    """`wanted` by name, or what `auto` stands for with the keys at hand. Without any it is the built-in summariser,
    which does not go on with a tree that a chat model wrote: that model's name stays, and its key is missed."""
    chosen = models.chosen_chat(wanted, context)
    if chosen == EXTRACTIVE != wanted and live is not None:
        return str(live.params["summary_llm"])
    return chosen
