"""`raptor demo`: uploads the sample handbook over HTTP, shows its tree and asks two questions."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from app.cli.output import show_hits, show_tree
from app.cli.progress import ingest_with_progress
from app.client import local_client
from app.resources import samples_folder
from app.settings import Settings
from interfaces_adaptor.clients.service_client import markdown_files

DATASET = "handbook"
QUESTIONS = (
    ("What has to be done before the lithium batteries are charged?", "auto"),
    ("What is this handbook about?", "auto"),
)


def run(settings: Settings, console: Console, folder: Path | None) -> None:
    files = markdown_files([folder or samples_folder()])
    size = sum(path.stat().st_size for path, _ in files)
    console.print(
        f"[bold]{len(files)} Markdown files[/], {size / 1000:.0f} kB, go to POST /v1/document/ingest-markdown"
    )
    with local_client(settings.data_dir) as client:
        console.print(f"The service listens on {client.base_url}\n", highlight=False)
        ingest_with_progress(client, console, DATASET, files, build_tree=True, tags=["sample"])
        console.print()
        show_tree(client, DATASET, depth=2)
        root = next(client.tree_nodes(DATASET))
        console.print(f"\n[bold]The root says:[/] {root['text']}\n", highlight=False, markup=True)
        for question, mode in QUESTIONS:
            console.rule(f"{question}  ({mode})", align="left")
            show_hits(client.retrieve(DATASET, question, mode=mode, top_k=3))
        stats = client.dataset(DATASET)
        console.print(
            f"\n{stats['documents']} documents, {stats['chunks']} chunks; embedder {stats['embedding_model']}, cost $"
            f"{stats['usage'].get('cost', 0):.2f}"
        )
    console.print(f"The data is in {settings.data_dir.resolve()} (RAPTOR_DATA_DIR). The service has been stopped.")
    console.print("Start it again with `raptor serve`; its API is documented at /docs.", highlight=False)
