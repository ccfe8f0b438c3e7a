"""What an embedding provider's answer has to be before anything of it is stored, and what it is booked with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constants.models import Price
from infra.providers.failures import bad_answer
from services.arrays import FloatArray
from services.cost.usage import Usage
from utils.tokens import estimate_tokens


def checked_vectors(
    rows: Sequence[tuple[int, Sequence[float]]], count: int, dimensions: int, provider: str, model: str
) -> FloatArray:
    """(index, vector) pairs, in any order, as unit rows in the order of the texts; of as many `dimensions`, or, where
    they are 0, of as many as the first has. Raises ProviderBadAnswer.

    pgvector refuses a wrong dimension and what is not finite, but takes a zero vector, whose cosine with anything is
    not a number; and texts zipped with vectors of another order would be found by each other's words.
    """
    if sorted(index for index, _ in rows) != list(range(count)):
        raise bad_answer(provider, model, f"vectors for other texts than the {count} that were sent")
    ordered = [vector for _, vector in sorted(rows, key=lambda row: row[0])]
    wanted = dimensions or len(ordered[0])
    if any(len(vector) != wanted for vector in ordered):
        lengths = sorted({len(vector) for vector in ordered})
        raise bad_answer(provider, model, f"vectors of {lengths[:3]} dimensions where {wanted} are wanted")
    vectors = np.array(ordered, np.float64)
    # 1e39 is a number where JSON is read, an infinity where base64 is, and of a whole vector would leave one axis.
    if not (np.abs(vectors) <= np.finfo(np.float32).max).all():
        raise bad_answer(provider, model, "numbers that are not finite")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if (norms < 1e-9).any():
        raise bad_answer(provider, model, "a vector without a direction")
    unit: FloatArray = (vectors / norms).astype(np.float32)
    return unit


def embedding_usage(said: int, texts: Sequence[str], price: Price) -> Usage:
    """Of one request: the tokens that the provider said, or where it said none (0) those that are counted here."""
    tokens = said or sum(map(estimate_tokens, texts))
    cost = price.of(tokens, 0, 0)
    return Usage(calls=1, input_tokens=tokens, cost=cost, counted_here=0 if said else 1)
