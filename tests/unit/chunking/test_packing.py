"""The choice of borders, on atoms made by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.chunking.document import Block
from services.chunking.packing import pack
from services.chunking.splitting import Atom

SIZE = 100


def atoms(*lengths: int, costs: dict[int, float] | None = None, sections: tuple[int, ...] = ()) -> list[Atom]:
    """Adjacent atoms; a cut before each costs nothing unless `costs` says so."""
    made, start = [], 0
    for place, length in enumerate(lengths):
        section = sections[place] if sections else 0
        block = Block("paragraph", start, start + length, 0, section)
        made.append(Atom(block, start, start + length, (costs or {}).get(place, 0.0)))
        start += length
    return made


def lengths_of(made: list[Atom], overlap: int = 0, depths: tuple[int, ...] = (0,)) -> list[int]:
    chunks = pack(made, depths, SIZE, lambda place: overlap if place else 0)
    assert [place for first, last in chunks for place in range(first, last)] == list(range(len(made)))
    return [made[last - 1].end - made[first].start for first, last in chunks]


def test_no_atoms_are_no_chunks() -> None:
    assert lengths_of([]) == []


def test_the_last_chunk_is_not_left_with_the_rest() -> None:
    assert lengths_of(atoms(30, 30, 30, 30)) == [60, 60]


def test_a_cheap_border_is_worth_some_empty_space() -> None:
    assert lengths_of(atoms(30, 30, 30, 30, 30, 30, costs=dict.fromkeys((1, 3, 5), 0.5))) == [60, 60, 60]
    assert lengths_of(atoms(30, 30, 30, 30, 30, 30, costs=dict.fromkeys((2, 4), 0.5))) == [90, 90]


def test_the_overlap_takes_its_share_of_the_size() -> None:
    assert lengths_of(atoms(*[25] * 8)) == [100, 100]
    assert max(lengths_of(atoms(*[25] * 8), overlap=30)[1:]) <= 70


def test_an_atom_that_leaves_no_room_for_overlap_is_a_chunk_all_the_same() -> None:
    assert lengths_of(atoms(90, 90, 90), overlap=30) == [90, 90, 90]


def test_siblings_share_a_chunk_sooner_than_strangers() -> None:
    """Sections 1 and 2 are deep, section 3 is further up."""
    sections, depths = (1, 2, 3), (0, 2, 2, 1)
    assert lengths_of(atoms(45, 45, 45, sections=sections), depths=depths) == [90, 45]
    assert lengths_of(atoms(45, 45, 45, sections=(3, 1, 2)), depths=depths) == [90, 45]
    assert lengths_of(atoms(60, 35, 60, sections=sections), depths=depths) == [95, 60]


@given(st.lists(st.integers(1, SIZE), max_size=60), st.integers(0, 60))
def test_no_chunk_is_larger_than_the_size_unless_an_atom_and_its_overlap_are(lengths: list[int], overlap: int) -> None:
    assert all(length <= SIZE for length in lengths_of(atoms(*lengths), overlap))


def test_tiny_atoms_beside_a_large_one_make_no_chunk_too_large() -> None:
    size = 1200
    for large in range(1100, size + 1, 4):
        made = atoms(*[1] * 60, large, *[1] * 40)
        for first, last in pack(made, (0,), size, lambda place: 0):
            assert made[last - 1].end - made[first].start <= size


def test_tiny_atoms_fill_their_chunks() -> None:
    lengths = lengths_of(atoms(*[1] * 5_000))
    assert min(lengths) > 80
    assert len(lengths) < 60
