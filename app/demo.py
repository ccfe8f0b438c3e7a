"""`raptor demo`: uploads the sample handbook over HTTP, shows its tree and asks two questions."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from app.cli.output import show_citations, show_tree
from app.cli.progress import Sending, ingest_with_progress
from app.client import local_client
from app.resources import samples_folder
from app.settings import Settings
from interfaces_adaptor.clients.service_client import ServiceClient
from interfaces_adaptor.gateways.folders.named import named_files
from interfaces_adaptor.gateways.folders.rules import WalkRules

DATASET = "handbook"
QUESTIONS = ("What is this handbook about?", "How do I become a member?")


def run(settings: Settings, console: Console, folder: Path | None) -> None:
    root = folder or samples_folder()
    found, _ = named_files([root], root, WalkRules())
    files = [(file.at, file.path) for file in found]
    size = sum(path.stat().st_size for path, _ in files)
    console.print(
        f"[bold]{len(files)} Markdown files[/], {size / 1000:.0f} kB, go to POST /v1/document/ingest-markdown"
    )
    with local_client(settings.data_dir) as client:
        console.print(f"The service listens on {client.base_url}\n", highlight=False)
        ingest_with_progress(client, console, DATASET, files, Sending(tags=["sample"]))
        console.print()
        show_tree(client, DATASET, depth=2)
        console.print()
        for question in QUESTIONS:
            console.rule(question, align="left")
            answer(client, console, question)
        stats = client.dataset(DATASET)
        console.print(
            f"\n{stats['documents']} documents, {stats['chunks']} chunks; embedder {stats['embedding_model']}, cost $"
            f"{stats['usage'].get('cost', 0):.2f}"
        )
    console.print(f"The data is in {settings.data_dir.resolve()} (RAPTOR_DATA_DIR). The service has been stopped.")
    console.print("Start it again with `raptor serve`; its API is documented at /docs.", highlight=False)


def answer(client: ServiceClient, console: Console, question: str) -> None:
    """The answer, a line a statement, and where each can be looked up."""
    told = dict(client.ask(DATASET, question))
    for statement in told["done"]["statements"]:
        console.print(f"- {escape(statement['text'])}", highlight=False)
    console.print()
    show_citations(told["done"], told["retrieval"], told["usage"])
    console.print()
