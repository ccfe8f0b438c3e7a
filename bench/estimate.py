"""`python -m bench.estimate [FOLDER …]`: estimates against the bills of a fake provider, over folders of the corpora.

Each folder is estimated, ingested and built as a dataset of its own, with voyage-context-3 and deepseek-v4-flash as the
fake provider plays them, refined by the chat model (`--refine off` leaves that out); its bill is what the provider
itself counted in between.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.corpora import CorpusMissing, Source, shared_data
from bench.serving import served
from fake_provider import RunningFakeProvider, running_fake_provider
from interfaces_adaptor.clients.service_client import ServiceClient

# Corpus, and how many parts of a path make a folder of it.
TREES = {"md-small": 0, "md-medium": 3, "md-multilingual": 2}
SETS = ("mdspans", "squality", "qmsum")
CHARACTERS = (20_000, 1_300_000)


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    sources: list[Source]

    @property
    def characters(self) -> int:
        return sum(len(source.markdown) for source in self.sources)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Tokens in and out together, calls and dollars: as estimated and as billed."""

    folder: str
    documents: int
    chunks: int
    summaries: tuple[int, int]
    calls: tuple[int, int]
    tokens: tuple[int, int]
    cost: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"| `{self.folder}` | {self.documents} | {self.chunks:,} | {self.summaries[0]} / {self.summaries[1]}"
            f" | {self.calls[0]} / {self.calls[1]} | {self.tokens[0]:,} | {self.tokens[1]:,} | {self.apart:+.1%}"
            f" | {self.cost[0]:.4f} / {self.cost[1]:.4f} |"
        )

    @property
    def apart(self) -> float:
        return self.tokens[0] / self.tokens[1] - 1


HEAD = (
    "| folder | documents | chunks | summaries expected / built | calls expected / made | tokens expected | billed"
    " | apart | dollars expected / booked |\n|" + " --- |" * 9
)


def folders() -> Iterator[Folder]:
    """Raises CorpusMissing."""
    for corpus, depth in TREES.items():
        found: dict[str, list[Source]] = defaultdict(list)
        for row in rows(corpus, "files.jsonl.xz"):
            parts = row["path"].split("/")[:-1][:depth]
            found["/".join([corpus, *parts])].append(Source(row["path"], row["markdown"]))
        yield from (Folder(name, sources) for name, sources in sorted(found.items()))
    for corpus in SETS:
        documents = [Source(f"{row['doc_id']}.md", row["markdown"]) for row in rows(corpus, "docs.jsonl.gz")]
        yield Folder(corpus, documents[: max(2, len(documents) // 5)])


def rows(corpus: str, file_name: str) -> Iterator[dict[str, Any]]:
    path = shared_data() / corpus / file_name
    if not path.is_file():
        raise CorpusMissing(f"{path} is not here; RAPTOR_SHARED_DATA names the folder that holds the corpora")
    unpack = lzma.decompress if path.suffix == ".xz" else gzip.decompress
    yield from map(json.loads, unpack(path.read_bytes()).decode().splitlines())


def measured(client: ServiceClient, provider: RunningFakeProvider, folder: Folder, refine: str) -> Outcome:
    dataset = folder.name.replace("/", "_")
    documents = [{"text": source.markdown, "source": source.path} for source in folder.sources]
    expected = client.estimate(dataset, documents=documents, refine=refine)
    before = provider.stats()
    upload = client.begin_upload(dataset, refine=refine)
    for source in folder.sources:
        client.add_to_upload(upload, "file.md", source.markdown.encode(), source=source.path)
    job = client.wait_for(client.commit_upload(upload)["job_id"])
    assert job["status"] == "succeeded", job["error"]
    after = provider.stats()
    total, used = expected["total"], client.usage(dataset_id=dataset)["total"]
    (build,) = (job for job in client.jobs(dataset_id=dataset) if job["job_type"] == "build")
    return Outcome(
        folder=folder.name,
        documents=len(documents),
        chunks=expected["chunks"],
        summaries=(sum(level["summaries"] for level in expected["levels"]), build["result"]["summaries"]),
        calls=(total["calls"], after["calls"] - before["calls"]),
        tokens=(
            total["input_tokens"] + total["output_tokens"],
            after["tokens"]["total"] - before["tokens"]["total"],
        ),
        cost=(total["cost"], used["cost"]),
    )


def summary(outcomes: Sequence[Outcome]) -> str:
    apart = [abs(outcome.apart) for outcome in outcomes]
    expected, billed = (sum(outcome.tokens[side] for outcome in outcomes) for side in (0, 1))
    return (
        f"{len(outcomes)} folders: tokens at most {max(apart):.1%} apart, the median {median(apart):.1%}, all together"
        f" {expected / billed - 1:+.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="*", help="names as the table shows them; left out: all of a middling size")
    parser.add_argument("--refine", choices=("off", "heuristic", "llm"), default="llm")
    arguments = parser.parse_args()
    wanted = arguments.folder
    try:
        chosen = [
            folder
            for folder in folders()
            if folder.name in wanted or (not wanted and CHARACTERS[0] <= folder.characters <= CHARACTERS[1])
        ]
    except CorpusMissing as error:
        parser.exit(1, f"{error}\n")
    with running_fake_provider() as provider, tempfile.TemporaryDirectory() as place:
        settings = {
            "RAPTOR_PROVIDER_BASE_URL_OVERRIDE": provider.url,
            "RAPTOR_VOYAGE_API_KEY": "fake-voyage",
            "RAPTOR_DEEPSEEK_API_KEY": "fake-deepseek",
        }
        with served(Path(place), **settings) as (url, _), ServiceClient(url, timeout_s=600) as client:
            print(HEAD)
            outcomes = []
            for folder in chosen:
                outcomes.append(measured(client, provider, folder, arguments.refine))
                print(outcomes[-1], flush=True)
    print(summary(outcomes))


if __name__ == "__main__":
    main()
