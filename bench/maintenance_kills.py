"""`python -m bench.maintenance_kills [KILLS]`: kill -9 of the worker at random moments while a tree is maintained.

One dataset is changed again and again: documents are added, changed, deleted and erased, each change by a job that
random kills strike. After each it is looked up whether every document is there, once, with the text that was sent last,
and whether the live tree holds each of its passages once. The models are the fake provider's and take 0.1 s a call;
counted is what it had answered before, what was under way when the worker was killed, and which vectors had come in the
half second before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psutil

from bench.faults import KILLS_A_JOB, forked_workers, service, under_way
from tests.providers.fault_matrix import Bench, document, keys_of, models_file
from tests.worker_processes import give_up_dead_workers

DATASET = "kept"
FIRST_DOCUMENTS = 8
CHANGES, SHARES = ("add", "change", "delete", "erase"), (35, 35, 15, 15)
# Half of the kills strike so long after a worker has taken a job, the others so long after a call of it began.
AFTER_TAKING_S, AFTER_A_CALL_S = (0.0, 2.0), (0.0, 0.1)
ATTEMPTS = "select sum(attempts) from jobs"
RUNNING = "select exists (select from jobs where status = 'running')"
CALLING = "select exists (select from provider_calls where finished_at is null and call_id <> all($1::uuid[]))"
# Their vectors may not be stored yet; a chat model's answer is stored before its call counts as finished.
JUST_ANSWERED = """
    select count(*) from provider_calls
    where provider = 'voyage' and finished_at > clock_timestamp() - interval '0.5 seconds'
"""
KEYS = keys_of("maintained", "chat")
BROUGHT = {"X-" + name.replace("_", "-"): key for name, key in KEYS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.kills, random.Random(arguments.seed)))


async def measure(kills: int, chance: random.Random) -> None:
    # A worker that is alive is not to be taken for dead, however busy the machine is; who is dead is told here.
    patient = {"RAPTOR_WORKER_HEARTBEAT_SECONDS": "5", "RAPTOR_WORKER_DEAD_AFTER_SECONDS": "600"}
    async with service(latency_s=0.1, models=models_file(chat=4, embed=4), **patient) as bench:
        with forked_workers() as start:
            connection = await asyncpg.connect(os.environ["DATABASE_URL"])
            run = Run(bench, start, chance, connection)
            for _ in range(FIRST_DOCUMENTS):
                await run.add()
            await run.settled()
            began, built = time.monotonic(), bench.provider.stats()["calls"]
            while run.seen["kills"] < kills:
                await run.one_change(kills)
                stats = bench.provider.stats()
                run.seen["calls"], run.seen["repaid"] = stats["calls"] - built, stats["repeated"]
                print(json.dumps(run.seen | {"seconds": round(time.monotonic() - began)}), *run.wrong, flush=True)
            await connection.close()
    print("\n".join(run.wrong) or "every document there once, with its last text, and every passage in the tree once")


@dataclass(slots=True)
class Run:
    bench: Bench
    start: Any
    chance: random.Random
    connection: asyncpg.Connection[asyncpg.Record]
    texts: dict[str, str] = field(default_factory=dict)
    job_id: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _lost: set[uuid.UUID] = field(default_factory=set)
    _sent: int = 0

    async def one_change(self, kills: int) -> None:
        (kind,) = self.chance.choices(CHANGES, SHARES)
        await {"add": self.add, "change": self.change, "delete": self.delete, "erase": self.erase}[kind]()
        self.seen["changes"] += 1
        for _ in range(min(KILLS_A_JOB, kills - self.seen["kills"])):
            await self._kill()
            if (await self.bench.job(self.job_id))["status"] == "succeeded":
                break
        await self.settled()
        self.wrong += [f"after change {self.seen['changes']}, {kind}: {what}" for what in await self.differences()]

    async def _kill(self) -> None:
        before = await self.connection.fetchval(ATTEMPTS)
        pid = self.start()
        async with asyncio.timeout(60):
            await self._taken(before)
        await self._moment()
        os.kill(pid, signal.SIGSTOP)
        found = await under_way() - self._lost
        self._lost |= found
        self.seen["kills"] += 1
        self.seen["in_flight"] += len(found)
        self.seen["just_answered"] += await self.connection.fetchval(JUST_ANSWERED)
        self.seen["while a job ran"] += await self.connection.fetchval(RUNNING)
        self.seen["while calls were under way"] += bool(found)
        os.kill(pid, signal.SIGKILL)
        await give_up_dead_workers(os.environ["DATABASE_URL"])

    async def _taken(self, attempts: int) -> None:
        """Until a job has been taken once more."""
        while True:
            if await self.connection.fetchval(ATTEMPTS) > attempts:
                return
            await asyncio.sleep(0.01)

    async def _moment(self) -> None:
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.uniform(*AFTER_TAKING_S))
            return
        while await self.connection.fetchval(RUNNING):
            if await self.connection.fetchval(CALLING, list(self._lost)):
                await asyncio.sleep(self.chance.uniform(*AFTER_A_CALL_S))
                return
            await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """All jobs have succeeded, by a worker that nobody kills; it is gone when this ends."""
        pid = self.start()
        while left := [job["id"] for job in await self._jobs() if job["status"] in ("queued", "running")]:
            for job_id in left:
                assert (job := await self.bench.finished(job_id))["status"] == "succeeded", job
        os.kill(pid, signal.SIGTERM)
        with suppress(psutil.NoSuchProcess):  # alive, it would take the next job, and be cut off in it
            await asyncio.to_thread(psutil.Process(pid).wait)

    async def _jobs(self) -> list[dict[str, Any]]:
        answer = await self.bench.http.get("/v1/jobs", params={"dataset_id": DATASET, "limit": 20})
        return list(answer.json()["data"]["items"])

    async def add(self) -> None:
        self._sent += 1
        await self._send(f"volume-{self._sent:03d}", document(f"{self._sent:03d}"))

    async def change(self) -> None:
        """A sentence more in one of its sections."""
        doc_id = self.chance.choice(sorted(self.texts))
        sections = self.texts[doc_id].split("\n\n## ")
        place = self.chance.randrange(1, len(sections))
        self._sent += 1
        sections[place] = f"{sections[place].rstrip()} Edition {self._sent} counts it again."
        await self._send(doc_id, "\n\n## ".join(sections) + "\n")

    async def delete(self) -> None:
        await self._delete(hard=False)

    async def erase(self) -> None:
        await self._delete(hard=True)

    async def _send(self, doc_id: str, text: str) -> None:
        self.texts[doc_id] = text
        answer = await self.bench.http.post(
            "/v1/document/ingest-markdown",
            data={"dataset_id": DATASET, "doc_id": doc_id, "chunk_size": "300", "chunk_overlap": "0"}
            | {"refine": "off", **KEYS},
            files={"file": (f"{doc_id}.md", text.encode(), "text/markdown")},
            headers={"Prefer": "respond-async"},
        )
        answer.raise_for_status()
        self.job_id = str(answer.json()["data"]["job_id"])

    async def _delete(self, *, hard: bool) -> None:
        doc_id = self.chance.choice(sorted(self.texts))
        del self.texts[doc_id]
        options = {"dataset_id": DATASET, "hard": str(hard).lower()}
        answer = await self.bench.http.delete(f"/v1/documents/{doc_id}", params=options, headers=BROUGHT)
        answer.raise_for_status()
        self.job_id = str(answer.json()["data"]["job_id"])

    async def differences(self) -> list[str]:
        """From the dataset that there has to be."""
        documents = (await self._data("/v1/documents", dataset_id=DATASET, limit=500))["items"]
        there = Counter(one["doc_id"] for one in documents)
        found = [f"{doc_id} is there {there[doc_id]} times" for doc_id in self.texts if there[doc_id] != 1]
        found += [f"{doc_id} is there, and was deleted" for doc_id in there.keys() - self.texts.keys()]
        for doc_id in there.keys() & self.texts.keys():
            text = (await self._data(f"/v1/documents/{doc_id}", dataset_id=DATASET))["text"]
            found += [] if text.strip() == self.texts[doc_id].strip() else [f"{doc_id} has another text"]
        passages = sum(one["chunks"] for one in documents)
        leaves, roots = await self._leaves()
        if roots != 1 or not len(leaves) == len(set(leaves)) == passages:
            found.append(f"{roots} roots, {len(leaves)} leaves, {len(set(leaves))} different, {passages} passages")
        return found

    async def _leaves(self) -> tuple[list[str], int]:
        """The texts of the live tree's leaves, of which no two are the same, and how many nodes have no parent."""
        leaves: list[str] = []
        roots, cursor = 0, dict[str, str]()
        while True:
            page = await self._data(f"/v1/datasets/{DATASET}/tree", limit=500, **cursor)
            leaves += [node["text"] for node in page["items"] if node["level"] == 0]
            roots += sum(node["primary_parent"] is None for node in page["items"])
            if page["next_cursor"] is None:
                return leaves, roots
            cursor = {"cursor": page["next_cursor"]}

    async def _data(self, path: str, **options: Any) -> dict[str, Any]:
        answer = await self.bench.http.get(path, params=options)
        answer.raise_for_status()
        return dict(answer.json()["data"])


if __name__ == "__main__":
    main()
