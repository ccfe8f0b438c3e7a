"""What is asked of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.cost.budget import Keys
from services.retrieval.hits import Filters
from services.retrieval.packing import Order
from services.retrieval.route import Mode


@dataclass(frozen=True, slots=True)
class Query:
    """`boosts` are added to the scores of a level, in standard deviations; `quotas` bound the hits of a level.
    `threshold` is the least likeness that a traversal goes on with. `embed_model`, if given, has to be the dataset's.
    """

    dataset_id: str
    text: str
    mode: Mode = "auto"
    top_k: int = 10
    max_tokens: int | None = None
    filters: Filters = Filters()
    keys: Keys = field(default_factory=Keys)
    hybrid: bool = True
    reranker: str | None = None
    expand: bool = False
    order: Order = "score"
    boosts: Mapping[int, float] = field(default_factory=dict)
    quotas: Mapping[int, int] = field(default_factory=dict)
    threshold: float | None = None
    embed_model: str | None = None
