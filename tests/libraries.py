"""What a service holds when a test begins: for `filled_with` (tests/conftest.py)."""

from __future__ import annotations

from tests.client import ApiClient
from tests.factories import TOPICS, handbook, page


async def library(api: ApiClient) -> None:
    """One document a topic, in one dataset with a tree."""
    jobs = []
    for number, topic in enumerate(TOPICS):
        sent = await api.submit(
            page(topic, 6),
            doc_id=topic,
            name=f"{topic}.md",
            source=f"shelf/{topic}",
            tags=["sea" if topic in ("anchors", "salt", "clocks", "maps") else "land", f"n{number}"],
            extra_meta=f'{{"shelf": {number % 2}, "by": {{"name": "{topic[0]}"}}}}',
        )
        jobs.append(sent["job_id"])
    for job in jobs:
        assert (await api.finished(job))["status"] == "succeeded"


async def passages(api: ApiClient) -> None:
    """One document a topic, in one dataset without a tree."""
    for topic in TOPICS:
        await api.ingest(
            page(topic, 3), doc_id=topic, name=f"{topic}.md", build_tree="false", summary_llm="builtin/extractive"
        )


async def anchors(api: ApiClient) -> None:
    """One document in small chunks, without a tree."""
    await api.ingest(page("anchors", 8), doc_id="anchors", build_tree="false", chunk_size="250")


async def handbooks(api: ApiClient) -> None:
    """A dataset with one document and its tree, to which another comes."""
    await api.ingest(handbook(2), name="first.md")
