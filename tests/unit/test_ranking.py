"""How scores become an answer: fusion, neighbours, a packed budget, a digest, the route that `auto` takes."""

from __future__ import annotations

import uuid
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from services.retrieval.digest import digest
from services.retrieval.fusion import Candidate, Moments, Population, fused, ranked, smoothed
from services.retrieval.hits import Hit
from services.retrieval.packing import best, packed
from services.retrieval.route import route
from services.text.index_terms import index_terms
from services.text.postings import indexed_text, posting_lists
from utils.tokens import estimate_tokens

GENERATION = uuid.UUID(int=1)
UNIT = Moments(0.0, 1.0)


def candidate(
    place: int, similarity: float = 0.0, lexical: float = 0.0, generation: uuid.UUID = GENERATION
) -> Candidate:
    # 75 words, 100 tokens, 450 characters.
    return Candidate(
        uuid.uuid5(generation, str(place)),
        0,
        generation,
        place,
        similarity,
        lexical,
        100,
        450 * place,
        450 * place + 450,
    )


def passage(text: str, start: int, doc_id: str = "a", level: int = 0) -> Hit:
    node = uuid.uuid5(uuid.NAMESPACE_URL, f"{doc_id}/{start}")
    return Hit(
        node, "leaf", level, 0.0, None, text, estimate_tokens(text), doc_id, None, (), start, start + len(text), (node,)
    )


def summary(text: str, *under: Hit) -> Hit:
    node = uuid.uuid5(uuid.NAMESPACE_URL, text)
    chunk_ids = tuple(chunk for hit in under for chunk in hit.chunk_ids)
    return Hit(node, "summary", 1, 0.0, "About", text, estimate_tokens(text), None, None, (), None, None, chunk_ids)


def test_each_score_counts_in_its_own_deviations() -> None:
    population = Population([candidate(0, 0.6, 2.0), candidate(1, 0.5, 12.0)], Moments(0.5, 0.1), Moments(2.0, 5.0))
    assert fused(population, 0.5) == pytest.approx([0.5, 1.0])
    assert fused(population, 1.0) == pytest.approx([1.0, 0.0])


def test_a_score_that_is_the_same_everywhere_says_nothing() -> None:
    population = Population([candidate(0, 0.6, 0.0), candidate(9, 0.5, 0.0)], Moments(0.5, 0.1), Moments(0.0, 0.0))
    assert fused(population, 0.5) == pytest.approx([0.5, 0.0])


def test_neighbours_share_their_score_by_their_distance_in_words() -> None:
    candidates = [candidate(place) for place in range(5)]
    smooth = smoothed(candidates, np.array([0.0, 0.0, 1.0, 0.0, 0.0]))
    # 75 words apart .4, 150 words .16; divided by the weights that exist.
    assert smooth[2] == pytest.approx(1 / (1 + 0.8 + 0.32), rel=0.01)
    assert smooth[1] / smooth[2] == pytest.approx(0.4 * (1 + 0.8 + 0.32) / (1 + 0.8 + 0.16 + 0.064), rel=0.01)
    assert smooth[2] > smooth[1] > smooth[0] > 0


def test_documents_share_nothing_with_each_other() -> None:
    other = uuid.UUID(int=2)
    candidates = [candidate(0), candidate(1, generation=other)]
    assert smoothed(candidates, np.array([1.0, 0.0])) == pytest.approx([1.0, 0.0])


def test_a_document_of_one_passage_loses_nothing_to_longer_ones() -> None:
    alone = candidate(0, generation=uuid.UUID(int=9))
    candidates = [candidate(0), candidate(1), candidate(2), alone]
    smooth = smoothed(candidates, np.array([1.0, 1.0, 1.0, 1.0]))
    assert smooth == pytest.approx([1.0] * 4)


def test_mere_neighbours_are_not_ranked() -> None:
    found = candidate(1, lexical=1.0)
    beside = Candidate(uuid.UUID(int=77), 0, GENERATION, 2, 0.0, 5.0, 100, 900, 1350, found=False)
    names = [one.node_id for one in ranked(Population([found, beside], UNIT, UNIT), 0.0, smooth=True)]
    assert names == [found.node_id]


def test_postings_say_where_how_often_and_how_long() -> None:
    lists = posting_lists(0, ["honey honey bees", "", "bees dance"])
    by_term = {posting.term: posting for posting in lists.postings}
    bee, honey = index_terms("bees honey")
    assert (lists.nodes, lists.length) == (3, 5)
    assert (by_term[bee].places, by_term[bee].frequencies, by_term[bee].lengths) == ((0, 2), (1, 1), (3, 2))
    assert (by_term[honey].places, by_term[honey].frequencies) == ((0,), (2,))


def test_titles_above_are_indexed_with_a_passage() -> None:
    assert "glacier" in " ".join(index_terms(indexed_text(("Handbook", "Glaciers"), "They flow.")))


def test_a_budget_is_never_exceeded_and_nothing_is_said_twice() -> None:
    text = " ".join(f"word{number}" for number in range(200))
    whole, overlapping = passage(text[:600], 0), passage(text[400:1000], 400)
    taken = packed([whole, overlapping], 10, 10_000)
    assert [(hit.start, hit.end) for hit in taken] == [(0, 1000)]
    assert taken[0].text == text[:1000]
    assert taken[0].chunk_ids == whole.chunk_ids + overlapping.chunk_ids
    for budget in (1, 50, 170, 250):
        assert sum(hit.token_cnt for hit in packed([whole, overlapping], 10, budget)) <= budget


def test_a_summary_of_passages_that_are_there_is_left_out_and_one_of_others_is_not() -> None:
    one, two = passage("The hive keeps honey for the long winter months.", 0), passage("Foragers dance to show.", 900)
    three = passage("The glacier bends and opens in crevasses far above.", 5000)
    above, elsewhere = summary("Bees store food and tell each other where it is.", one, two), summary("Ice.", three)
    assert packed([one, two, above, elsewhere], 10, 1_000) == [one, two, elsewhere]


def test_a_passage_that_a_summary_quotes_whole_is_left_out() -> None:
    one = passage("The hive keeps honey for the long winter months.", 0)
    quoting = summary(f"{one.text} Foragers dance to show flowers to the others.", one)
    assert packed([quoting, one], 10, 1_000) == [quoting]


def test_the_order_of_the_source_joins_what_touches() -> None:
    first, second, third = passage("One. ", 0), passage("Two. ", 5), passage("Three.", 10)
    far = passage("Elsewhere.", 0, doc_id="b")
    by_score = packed([third, far, first, second], 10, 1_000)
    assert [hit.text for hit in by_score] == ["Three.", "Elsewhere.", "One. Two. "]
    in_order = packed([third, far, first, second], 10, 1_000, order="source")
    assert [hit.text for hit in in_order] == ["One. Two. Three.", "Elsewhere."]


def test_quotas_bound_a_level() -> None:
    hits = [summary("A gist."), summary("Another gist."), passage("A passage.", 0), passage("One more.", 90)]
    assert [hit.level for hit in best(hits, 3, {1: 1})] == [1, 0, 0]
    assert [hit.level for hit in packed(hits, 3, 1_000, {1: 0})] == [0, 0]


def test_a_digest_covers_what_is_said_often_and_does_not_repeat_itself() -> None:
    text = (
        "The ship sails at dawn with the captain and the crew on board today.\n\n"
        "The captain of the ship sails at dawn with the whole crew on board.\n\n"
        "A storm takes the ship, the sails are torn, and islands come in sight.\n\n"
        "On the islands the crew mends the sails that the storm has torn.\n\n"
        "Somebody mentions porcelain gnomes."
    )
    hits = [passage(part, text.index(part)) for part in text.split("\n\n")]
    chosen = digest(hits, 10, 45)
    texts = [hit.text for hit in chosen]
    assert any("storm" in one for one in texts)
    assert sum("sails at dawn" in one for one in texts) == 1
    assert sum(hit.token_cnt for hit in chosen) <= 45
    assert all(text[hit.start : hit.end] == hit.text for hit in chosen)
    assert all(one.score >= other.score for one, other in pairwise(chosen))


def test_a_digest_goes_on_where_a_summary_ended() -> None:
    bees, ice = (
        passage("Bees keep honey in the hive for the winter.", 0),
        passage("Ice drifts with wind and current.", 100),
    )
    first = digest([bees, ice], 1, 1_000)
    said = Counter(term for hit in first for term in index_terms(hit.text))
    assert digest([bees, ice], 1, 1_000, said)[0].text != first[0].text


@pytest.mark.parametrize(
    "line",
    [
        "Figure 4-5 illustrates the stack and heap data now.",
        "Harness tethers are clipped to the jackstays:",
        "First, let’s take a look at the ownership rules.",
        "| Line | Stations |",
        '<img alt="Two tables: a table with the stack',
        "- [11 Borrowing equipment](borrowing.md)",
    ],
)
def test_a_digest_takes_no_captions_lead_ins_pointers_or_debris(line: str) -> None:
    text = f"{line}\n\nOwnership is a set of rules that govern memory in Rust programs."
    assert [hit.text for hit in digest([passage(text, 0)], 10, 1_000)] == [text.split("\n\n")[1]]


def test_auto_tells_a_question_about_a_whole_from_one_about_something_in_it() -> None:
    assert route("auto", "").mode == "digest"
    assert route("auto", None).mode == "leaves"
    assert "“Ownership”" in route("auto", "Ownership").reason


def test_summaries_with_words_of_their_own_are_ranked_too() -> None:
    assert route("auto", None, own_words=True).mode == "collapsed"
    assert route("auto", "", levels=(1,)).mode == "collapsed"


def test_what_is_left_of_a_budget_is_filled_with_the_sentences_around_what_is_asked_for() -> None:
    first = passage("Bees keep honey for the winter.", 0, doc_id="bees")
    long = passage(
        "Ice is cold in winter and it is cold in spring too. A glacier flows under its own weight. It calves icebergs"
        " into the sea. Salt is won from the sea by the sun, and brine is boiled in pans for the rest of the year.",
        0,
        doc_id="ice",
    )
    budget = first.token_cnt + 22
    taken = packed([first, long], 10, budget, weights={"glacier": 5.0})
    assert taken[0] == first
    assert "A glacier flows under its own weight." in taken[1].text
    assert long.text[taken[1].start : taken[1].end] == taken[1].text
    assert sum(hit.token_cnt for hit in taken) <= budget
    assert packed([long], 10, 3, weights={"glacier": 5.0}) == []
