"""Which way an upload is refined, by the models that can be asked."""

from __future__ import annotations

from services.cost.budget import CallContext
from services.domain import Refine
from services.errors import MissingProviderKey, RefinementNeedsModel, UnknownModel
from services.models.registry import Models


def refined_by(models: Models, wanted: Refine, chat: str, context: CallContext) -> Refine:
    """`auto` asks the model `chat` where that can be asked. Raises RefinementNeedsModel, MissingProviderKey."""
    if wanted not in ("auto", "llm"):
        return wanted
    try:
        models.chat(models.chosen_chat(chat, context), context)
    except UnknownModel:
        if wanted == "llm":
            raise RefinementNeedsModel from None
        return "off"
    except MissingProviderKey:
        if wanted == "llm":
            raise
        return "off"
    return "llm"
