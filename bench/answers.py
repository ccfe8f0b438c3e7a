"""`python -m bench.answers [--out answers.tsv]`: 140 questions of our own, answered without a key and graded by a rule.

The datasets are the sample handbook, md-small and 63 files of md-multilingual in eight languages. A question of
`bench/questions/graded.jsonl` names what a good answer holds (`holds`: any of these texts, without case); an empty list
says that the dataset does not answer it. Good: the first statement holds it, or nothing is answered where nothing can
be. Fair: a later statement holds it. Bad: the rest. The rule is lenient, because a statement may hold the text and
still read badly, and strict, because an answer in other words counts as bad. `held_out` questions were written after
the method was chosen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.resources import samples_folder
from bench.corpora import corpus
from bench.serving import served
from interfaces_adaptor.clients.service_client import ServiceClient

QUESTIONS = Path(__file__).with_name("questions") / "graded.jsonl"
LANGUAGES = ("de", "fr", "es", "ja", "zh", "ru", "pt")
PAGES = (
    *("tutorial/first-steps", "tutorial/static-files", "tutorial/background-tasks", "tutorial/header-params"),
    *("deployment/docker", "docs/features", "docs/async.md", "tutorial/request-forms"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write grade, question and answer here, a line each")
    arguments = parser.parse_args()
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as (url, _),
        ServiceClient(url, timeout_s=600) as client,
    ):
        for dataset, documents in libraries().items():
            put_in(client, dataset, documents)
        rows = [graded(question, ask(client, question)) for question in questions]
    for kind in ("chosen on", "held out"):
        print(kind, dict(Counter(row["grade"] for row in rows if row["kind"] == kind)))
    if arguments.out:
        lines = ("\t".join([row["grade"], row["dataset"], row["question"], row["answer"]]) for row in rows)
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def libraries() -> dict[str, list[tuple[str, str]]]:
    """Raises CorpusMissing."""
    handbook = [(path.name, path.read_text(encoding="utf-8")) for path in sorted(samples_folder().glob("*.md"))]
    rust = [(source.path, source.markdown) for source in corpus("md-small")]
    multi = [
        (source.path, source.markdown)
        for source in corpus("md-multilingual")
        if source.path.split("/")[1] in LANGUAGES and any(page in source.path for page in PAGES)
    ]
    return {"handbook": handbook, "rust": rust, "multi": multi}


def put_in(client: ServiceClient, dataset: str, documents: Sequence[tuple[str, str]]) -> None:
    jobs = [
        client.ingest(dataset, Path(source).name, text.encode(), source=source, build_tree="false", wait_s=0)["job_id"]
        for source, text in documents
    ]
    jobs = [client.wait_for(job, timeout_s=900) for job in jobs]
    jobs.append(client.wait_for(client.rebuild(dataset)["job_id"], timeout_s=900))
    assert all(job["status"] == "succeeded" for job in jobs), jobs


def ask(client: ServiceClient, question: dict[str, Any]) -> dict[str, Any]:
    return dict(dict(client.ask(question["dataset"], question["question"]))["done"])


def graded(question: dict[str, Any], answer: dict[str, Any]) -> dict[str, str]:
    said = [statement["text"].lower() for statement in answer["statements"]]
    holds = [any(wanted in one for wanted in question["holds"]) for one in said]
    if not question["holds"]:
        grade = "bad" if answer["found"] else "good"
    else:
        grade = "good" if holds[:1] == [True] else "fair" if any(holds) else "bad"
    kind = "held out" if question.get("held_out") else "chosen on"
    return {
        "grade": grade,
        "kind": kind,
        "dataset": question["dataset"],
        "question": question["question"],
        "answer": " ".join(answer["answer"].split()),
    }


if __name__ == "__main__":
    main()
