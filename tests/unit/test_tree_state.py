"""The state of a tree in the command line's words."""

from __future__ import annotations

from app.cli.output import outline_label, tree_state

WELL = {
    "tree_status": "live",
    "summaries_waiting": 0,
    "summaries_waiting_share": 0.0,
    "lag": 0.0,
    "regret": -0.001,
    "degraded": 0,
}


def test_of_a_tree_that_is_as_it_should_be_nothing_else_is_said() -> None:
    assert tree_state(WELL) == ["the tree holds all documents"]
    assert tree_state({**WELL, "lag": None, "regret": None, "tree_status": "none"}) == ["no tree yet"]


def test_what_is_not_as_it_should_be_is_said_in_numbers() -> None:
    told = tree_state(
        {
            "tree_status": "behind",
            "summaries_waiting": 4,
            "summaries_waiting_share": 0.125,
            "lag": 0.08,
            "regret": 0.021,
            "degraded": 2,
        }
    )
    assert len(told) == 5
    for part in ("documents have changed", "4 summaries (12%)", "up to 8%", "2.1% more", "2 summaries were written"):
        assert any(part in one for one in told), part


def test_what_is_hidden_stands_in_the_outline_without_its_text() -> None:
    node = {"level": 1, "title": "Who we are", "heading_path": [], "text": None, "children": 5, "stale": False}
    assert outline_label(node) == "Who we are [dim](5)[/]"
    assert (
        outline_label({**node, "title": "", "stale": True}) == "[yellow]hidden until it is written anew[/] [dim](5)[/]"
    )
    passage = {**node, "level": 0, "title": None, "heading_path": ["Pay"], "children": 0, "stale": True}
    assert outline_label(passage) == "[yellow]hidden, its text is replaced or deleted[/]"
