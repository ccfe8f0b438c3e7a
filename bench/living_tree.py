"""The living tree through a running service: calls, tokens and summaries, with a provider that costs nothing.

    python -m bench.living_tree folder [--notes 300] [--changes 5] [--refine off]   one folder, then changes of it
    python -m bench.living_tree deletions [--notes 60] [--rounds 100]               erased and sent again during builds
    python -m bench.living_tree upload [--rounds 5]                                 10 KB to the live tree, CPU and wall

Notes are files of md-medium of at most three passages, in an order of chance. Kills: `python -m bench.faults --kills`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.corpora import CorpusMissing, Source, corpus
from bench.serving import served
from bench.tree_service import chunks_of, cpu_seconds
from fake_provider import RunningFakeProvider, running_fake_provider
from interfaces_adaptor.clients.service_client import TERMINAL, ServiceClient

NOTE, DOCUMENT = (1, 3), (9, 11)  # passages of a note, and of a document of about ten
DATASET = "folder"

Figure = dict[str, Any]


def main() -> None:
    options = _options()
    measure = {"folder": folder, "deletions": deletions, "upload": upload}[options.what]
    try:
        for figure in measure(options):
            print(json.dumps(figure), flush=True)
    except CorpusMissing as error:
        raise SystemExit(f"{error}; RAPTOR_SHARED_DATA names the folder that holds the corpora") from error


def folder(options: argparse.Namespace) -> Iterator[Figure]:
    """As `raptor ingest FOLDER` sends it; then one change after another, each waited for."""
    notes, others = sources(NOTE, options.seed), sources(DOCUMENT, options.seed)
    chance = np.random.default_rng(options.seed)
    with service(0.0) as (client, provider):
        yield ingested(client, provider, notes[: options.notes], options.refine)
        ids = [document["doc_id"] for document in client.documents(DATASET)]
        texts = {doc_id: client.document(doc_id, DATASET)["text"] for doc_id in ids}
        chosen = [str(doc_id) for doc_id in chance.choice(sorted(ids), 3 * options.changes, replace=False)]
        changed, hidden, erased = (chosen[part::3] for part in range(3))
        count = Counted(client, provider)
        for doc_id in changed:
            text = with_a_sentence(texts[doc_id], doc_id)
            yield count.change("add a sentence to a note", partial(sent, client, doc_id, text, options.refine))
        for number, source in enumerate(others[: options.changes]):
            added = partial(sent, client, f"added-{number}", source.markdown, options.refine)
            yield count.change("add a document of about ten passages", added)
        for doc_id in hidden:
            yield count.change("delete a note", partial(client.delete_document, doc_id, DATASET))
        for doc_id in erased:
            yield count.change("erase a note", partial(client.delete_document, doc_id, DATASET, hard=True))


def ingested(client: ServiceClient, provider: RunningFakeProvider, notes: Sequence[Source], refine: str) -> Figure:
    documents = [{"text": note.markdown, "source": note.path} for note in notes]
    expected = client.estimate(DATASET, documents=documents, refine=refine)["total"]
    begun = client.begin_upload(DATASET, refine=refine)
    for note in notes:
        client.add_to_upload(begun, note.path.rpartition("/")[2], note.markdown.encode(), source=note.path)
    succeeded(client, client.commit_upload(begun)["job_id"])
    jobs = client.jobs(dataset_id=DATASET)
    counted, booked = provider.stats(), client.usage(dataset_id=DATASET)["total"]
    return {
        "figure": "folder as one upload",
        "notes": len(notes),
        "refine": refine,
        "jobs": dict(Counter(job["job_type"] for job in jobs)),
        "leaves": client.dataset(DATASET)["chunks"],
        "summaries": next(client.generations(DATASET))["summaries"],
        "calls": {"expected": expected["calls"], "made": counted["calls"], "by_endpoint": counted["by_endpoint"]},
        "tokens": against(expected["input_tokens"] + expected["output_tokens"], counted["tokens"]["total"]),
        "dollars": against(expected["cost"], booked["cost"]),
    }


def against(expected: float, bill: float) -> Figure:
    return {"expected": expected, "bill": bill, "bill_over_estimate": round(bill / expected, 3)}


class Counted:
    """What a change made the service do, by its own account and by the provider's."""

    def __init__(self, client: ServiceClient, provider: RunningFakeProvider) -> None:
        self._client = client
        self._provider = provider

    def change(self, name: str, begin: Callable[[], Figure]) -> Figure:
        jobs = len(self._jobs())
        before, booked = self._provider.stats(), self._by_stage()
        succeeded(self._client, begin()["job_id"])
        after = self._provider.stats()
        generation = next(self._client.generations(DATASET))
        return {
            "change": name,
            "builds": sum(job["job_type"] == "build" for job in self._jobs()[: len(self._jobs()) - jobs]),
            "summaries": generation["summaries"],
            "written": generation["written"],
            "calls": after["calls"] - before["calls"],
            "by_stage": dict(self._by_stage() - booked),
            "tokens": after["tokens"]["total"] - before["tokens"]["total"],
        }

    def _jobs(self) -> list[Figure]:
        return self._client.jobs(dataset_id=DATASET, limit=500)

    def _by_stage(self) -> Counter[str]:
        used = self._client.usage(dataset_id=DATASET, group_by="stage")
        return Counter({item["key"]: item["calls"] for item in used["items"]})


def deletions(options: argparse.Namespace) -> Iterator[Figure]:
    """One document after another is erased and sent again with other words, or taken out and brought back, while the
    builds of those before it run."""
    notes, chance = sources(NOTE, options.seed)[: options.notes], np.random.default_rng(options.seed)
    with service(options.latency) as (client, _):
        begun = client.begin_upload(DATASET, refine="off")
        texts = {f"note-{number:03d}": note.markdown for number, note in enumerate(notes)}
        for doc_id, text in texts.items():
            client.add_to_upload(begun, f"{doc_id}.md", text.encode(), doc_id=doc_id)
        succeeded(client, client.commit_upload(begun)["job_id"])
        building = 0
        for number in range(options.rounds):
            doc_id = str(chance.choice(sorted(texts)))
            building += build_runs(client)
            client.delete_document(doc_id, DATASET, hard=True)
            texts[doc_id] = with_a_sentence(notes[int(doc_id[-3:])].markdown, f"round {number}")
            sent(client, doc_id, texts[doc_id], "off")
        ended = all_ended(client)
        yield {
            "figure": "erased and sent again",
            "rounds": options.rounds,
            "while_a_build_ran": building,
            "jobs": {f"{kind} {status}": count for (kind, status), count in sorted(ended.items())},
            "failed": sum(count for (_, status), count in ended.items() if status == "failed"),
            "wrong": wrong(client, texts),
            "tree_status": client.dataset(DATASET)["tree_status"],
        }


def upload(options: argparse.Namespace) -> Iterator[Figure]:
    """One document of 10 KB after another into a dataset of their own each, then into one that they share, with the
    built-in models: seconds until it is in a live tree, and of the service's CPU."""
    texts = [source.markdown for source in sources((10, 14), options.seed) if 9_000 < len(source.markdown) < 11_000]
    with (
        tempfile.TemporaryDirectory() as place,
        served(Path(place)) as (url, process),
        ServiceClient(url, timeout_s=600) as client,
    ):
        client.ingest("warm-up", "words.md", b"# Words\n\nA few words.\n", wait_s=None)
        for kind in ("a dataset each", "one dataset"):
            for number, text in enumerate(texts[: options.rounds]):
                dataset = f"own-{number}" if kind == "a dataset each" else "shared"
                began, cpu_s = time.monotonic(), cpu_seconds(process.pid)
                client.ingest(dataset, f"{number}.md", text.encode(), wait_s=None)
                yield {
                    "figure": "10 KB to the live tree",
                    "into": kind,
                    "wall_s": round(time.monotonic() - began, 2),
                    "cpu_s": round(cpu_seconds(process.pid) - cpu_s, 2),
                }


def build_runs(client: ServiceClient) -> bool:
    latest = client.jobs(dataset_id=DATASET, limit=20)
    return any((job["job_type"], job["status"]) == ("build", "running") for job in latest)


def all_ended(client: ServiceClient) -> Counter[tuple[str, str]]:
    """Jobs by kind and outcome, once none is under way; a job that ends may begin another."""
    while True:
        jobs = client.jobs(dataset_id=DATASET, limit=500)
        under_way = [job["id"] for job in jobs if job["status"] not in TERMINAL]
        if not under_way:
            return Counter((job["job_type"], job["status"]) for job in jobs)
        for job_id in under_way:
            client.wait_for(job_id)


def wrong(client: ServiceClient, texts: Mapping[str, str]) -> list[str]:
    """What differs from the dataset of these documents: lost, foreign or other text, and leaves of the live tree."""
    there = {document["doc_id"]: document["chunks"] for document in client.documents(DATASET)}
    found = [f"lost {doc_id}" for doc_id in texts.keys() - there.keys()]
    found += [f"foreign {doc_id}" for doc_id in there.keys() - texts.keys()]
    found += [
        f"other text {doc_id}"
        for doc_id in there.keys() & texts.keys()
        if client.document(doc_id, DATASET)["text"].strip() != texts[doc_id].strip()
    ]
    leaves = [node["node_id"] for node in client.tree_nodes(DATASET) if node["level"] == 0]
    if not len(leaves) == len(set(leaves)) == sum(there.values()):
        found.append(f"{len(leaves)} leaves, {len(set(leaves))} different, for {sum(there.values())} passages")
    return found


def sent(client: ServiceClient, doc_id: str, text: str, refine: str) -> Figure:
    return client.ingest(DATASET, f"{doc_id}.md", text.encode(), doc_id=doc_id, refine=refine)


def succeeded(client: ServiceClient, job_id: str) -> None:
    job = client.wait_for(job_id)
    assert job["status"] == "succeeded", job


def with_a_sentence(text: str, of: str) -> str:
    """One more sentence at the end of the longest line of prose."""
    lines = text.splitlines()
    longest = max(lines, key=lambda line: len(line) if line[:1].isalpha() else 0)
    lines[lines.index(longest)] = f"{longest} This was looked at once more, for {of}."
    return "\n".join(lines) + "\n"


def sources(passages: tuple[int, int], seed: int) -> list[Source]:
    """Whole files of so many passages; raises CorpusMissing."""
    most = 1500 * passages[1]
    files = [
        source
        for source in corpus("md-medium")
        if len(source.markdown) < most and passages[0] <= chunks_of(source) <= passages[1]
    ]
    return [files[number] for number in np.random.default_rng(seed).permutation(len(files))]


@contextmanager
def service(latency_s: float) -> Iterator[tuple[ServiceClient, RunningFakeProvider]]:
    """Voyage's contextual embedder and DeepSeek, as the fake provider plays them, on the operator's keys."""
    with tempfile.TemporaryDirectory() as place, running_fake_provider(latency_s=latency_s) as provider:
        settings = {
            "RAPTOR_PROVIDER_BASE_URL_OVERRIDE": provider.url,
            "RAPTOR_VOYAGE_API_KEY": "fake-voyage",
            "RAPTOR_DEEPSEEK_API_KEY": "fake-deepseek",
        }
        with served(Path(place), **settings) as (url, _), ServiceClient(url, timeout_s=600) as client:
            yield client, provider


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("folder", "deletions", "upload"))
    parser.add_argument("--notes", type=int, help="folder: 300; deletions: 60")
    parser.add_argument("--changes", type=int, default=5, help="folder: of each kind")
    parser.add_argument("--rounds", type=int, help="deletions: documents erased and sent again, 100; upload: 5")
    parser.add_argument("--latency", type=float, default=0.2, help="deletions: seconds that a call takes")
    parser.add_argument("--refine", choices=("auto", "off", "heuristic", "llm"), default="auto", help="folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.notes = options.notes or {"folder": 300, "deletions": 60, "upload": 0}[options.what]
    options.rounds = options.rounds or {"folder": 0, "deletions": 100, "upload": 5}[options.what]
    return options


if __name__ == "__main__":
    main()
