"""What a sync is going to do, and what is not taken, as tables of names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from app.cli.progress import SHOWN

if TYPE_CHECKING:
    from app.sync import Comparison
    from interfaces_adaptor.gateways.folders.walk import NotTaken
    from services.sync.plan import SyncPlan


def show_plan(console: Console, comparison: Comparison, *, everything: bool) -> None:
    """Counts of all, then names: `everything`, or the first of each kind."""
    plan, folder = comparison.plan, comparison.folder
    console.print(f"{escape(str(comparison.root))} -> {escape(comparison.dataset)}: {counts(plan)}.", highlight=False)
    kinds: list[tuple[str, Sequence[str]]] = [
        ("new", plan.new),
        ("changed", plan.changed),
        ("moved", [f"{move.document.source} -> {move.path}" for move in plan.moved]),
        ("adopted", [document.source for document in plan.adopted]),
        ("gone", [document.source for document in plan.gone if document.source not in plan.emptied]),
        ("emptied", plan.emptied),
        ("kept as it was", [document.source for document in plan.held]),
    ]
    for kind, names in kinds:
        show_names(console, kind, names, everything=everything)
    if plan.others:
        console.print(f"  {plan.others} documents that are no files of this folder stay as they are.", highlight=False)
    show_not_taken(console, folder.not_taken, everything=everything)
    empty = [file.path for file in folder.files if file.empty and file.path not in plan.emptied]
    show_names(console, "not taken, without text:", empty, everything=everything)


def counts(plan: SyncPlan) -> str:
    told = {
        "new": plan.new,
        "changed": plan.changed,
        "moved": plan.moved,
        "adopted": plan.adopted,
        "gone": plan.gone,
        "kept as they were": plan.held,
    }
    return ", ".join(
        [*(f"{len(what)} {name}" for name, what in told.items() if what), f"{len(plan.unchanged)} unchanged"]
    )


def show_not_taken(console: Console, not_taken: Iterable[NotTaken], *, everything: bool) -> None:
    """By reason. Markdown that should have been taken is always named."""
    problems: dict[str, list[str]] = defaultdict(list)
    left_out: dict[str, list[str]] = defaultdict(list)
    for one in not_taken:
        (problems if one.problem else left_out)[one.reason].append(one.path)
    for reason, names in sorted(problems.items()):
        show_names(console, f"[red]not taken[/], {escape(reason)}:", names, everything=True)
    for reason, names in sorted(left_out.items()):
        show_names(console, f"not taken, {escape(reason)}:", names, everything=everything)


def show_names(console: Console, kind: str, names: Sequence[str], *, everything: bool) -> None:
    shown = names if everything else names[:SHOWN]
    for name in shown:
        # A name that is no text is shown as it can be.
        printable = name.encode("utf-8", "backslashreplace").decode()
        console.print(f"  {kind} {escape(printable)}", highlight=False, soft_wrap=True)
    if len(shown) < len(names):
        console.print(f"  {kind} {len(names) - len(shown)} more (--verbose names them)", highlight=False)
