"""How far the text of a summary is behind the leaves under it, as a dataset tells it."""

from __future__ import annotations

from services.maintenance import LiveTree, MaintenanceParams, largest_lag
from tests.unit.maintenance.corpus import Living, document, leaves, shape


def told(tree: LiveTree) -> float:
    return largest_lag(len(tree.leaves), [(level.groups, level.told) for level in tree.levels])


def counted(tree: LiveTree) -> float:
    """The same, node by node."""
    under = [{leaf} for leaf in range(len(tree.leaves))]
    shares = []
    for level in tree.levels:
        own = [
            {
                leaf
                for member, primary in zip(group.members, group.primary, strict=True)
                if primary
                for leaf in under[member]
            }
            for group in level.groups
        ]
        shares += [len(one - set(seen.tolist())) / len(one) for one, seen in zip(own, level.told, strict=True)]
        under = own
    return max(shares)


def test_texts_lag_as_far_as_they_may_and_the_dataset_tells_how_far() -> None:
    some = [passage for number in range(30) for passage in document(f"doc {number:03d}", 8)]
    allowed = 0.3
    tree = Living.of(leaves(some), shape(), MaintenanceParams(lag=allowed))
    assert told(tree.tree) == counted(tree.tree) == 0.0
    seen = []
    for number in range(8):
        some += document(f"new {number}", 4)
        tree.become(leaves(some))
        assert told(tree.tree) == counted(tree.tree) <= allowed
        seen.append(told(tree.tree))
    assert max(seen) > 0


def test_texts_that_may_not_lag_do_not() -> None:
    some = [passage for number in range(12) for passage in document(f"doc {number:03d}", 8)]
    tree = Living.of(leaves(some), shape(), MaintenanceParams(lag=0.0))
    for number in range(3):
        some += document(f"new {number}", 4)
        tree.become(leaves(some))
        assert told(tree.tree) == 0.0
