"""A summary of many passages that says what they are about: what the whole is, then its sections by their names.

Sentences of sentences lose their subject on the way up: the root of a book began with the crate of one of its examples.
A whole is told from the passages that open it and its sections instead, under the headings that their authors gave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from services.text.extractive import is_whole, standing, stands_alone
from services.text.key_phrases import MAX_TITLE, is_generic, shortened
from services.text.sentences import ReadSentence, read_sentences
from services.text.stop_words import INTRODUCING
from services.text.words import fold, words
from utils.tokens import estimate_tokens

# Of the budget, what the sentences on the whole may take, and how many they may be.
_LEAD_SHARE, _MOST_LEAD = 0.4, 2
# Sentences of an opening that are looked at: what something is about is said at its beginning.
_LOOKED_AT = 6
_DOMINANT = 0.6  # share of the passages from which one section's name is the title of all
_LONGEST_NAME = 80
_BETWEEN = " · "
_NAMES_SHARE = 0.6  # of the budget beside the lead
_ON_TOPIC = 1.3  # what a sentence counts more that says a word of the title
_LATER = 0.15  # what each sentence before it costs one that is to say what a text is about
_INTRODUCES = 3.0  # what the first document counts more than others, and one that is called an introduction


@dataclass(frozen=True, slots=True)
class Section:
    """A document, or a section of one: `title` is its name, `opening` its first passage, `passages` how many it has."""

    title: str
    opening: str
    passages: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a summary is to tell of. `title` is the name of the whole, "" where it has none of its own; `opening` the
    passage that opens it; sections come in reading order. `is_one`: it is one document, or a section of one."""

    title: str
    opening: str
    sections: tuple[Section, ...]
    is_one: bool = True


def told(subject: Subject, token_budget: int) -> str:
    """Sentences on the whole, a line for each section that has one to show, the names of the others. At most
    `token_budget` estimated tokens; "" where no opening has a sentence that stands by itself."""
    lead = _lead(subject, int(_LEAD_SHARE * token_budget))
    if not lead:
        return ""
    left = token_budget - estimate_tokens(" ".join(lead)) - 1
    by_size = sorted(range(len(subject.sections)), key=lambda place: (-subject.sections[place].passages, place))
    # The names of many come first: a reader would rather know all sections than one of them well.
    names = _named(subject, by_size, int(_NAMES_SHARE * left))
    left -= sum(estimate_tokens(name) + 1 for name in names.values())
    lines = dict(names)
    for place in by_size:
        sentence = _best(subject.sections[place].opening, names[place], lead) if place in names else ""
        cost = estimate_tokens(sentence) + 1
        if sentence and cost <= left:
            lines[place] = f"{names[place]}: {sentence}"
            left -= cost
    whole = [lines[place] for place in sorted(lines) if lines[place] != names[place]]
    others = _BETWEEN.join(names[place] for place in sorted(names) if lines[place] == names[place])
    return "\n".join(filter(None, [" ".join(lead), *whole, others]))


def _named(subject: Subject, by_size: Sequence[int], token_budget: int) -> dict[int, str]:
    """The names of the largest sections, each once, by their places."""
    found: dict[int, str] = {}
    seen = {fold(subject.title)}
    for place in by_size:
        name = " ".join(subject.sections[place].title.split())[:_LONGEST_NAME]
        token_budget -= estimate_tokens(name) + 1
        if token_budget < 0:
            break
        if name and fold(name) not in seen:
            seen.add(fold(name))
            found[place] = name
    return found


def titles(subject: Subject) -> tuple[str, ...]:
    """Names for the whole, the best first."""
    return tuple(dict.fromkeys(filter(None, map(shortened, _titles(subject)))))


def _titles(subject: Subject) -> Iterator[str]:
    if subject.title:
        yield subject.title
    by_size = sorted(subject.sections, key=lambda section: -section.passages)
    names = [section.title for section in by_size if section.title and not is_generic(section.title)]
    if not names:
        return
    share = by_size[0].passages / max(1, sum(section.passages for section in by_size))
    pairs = [f"{names[0]}, {other}" for other in names[1:3]]
    fitting = [pair for pair in pairs if len(pair) <= MAX_TITLE]
    yield from [names[0], *fitting] if share >= _DOMINANT else [*fitting, names[0]]
    yield from names[1:4]


def _lead(subject: Subject, token_budget: int) -> list[str]:
    """From the opening of the whole; where it has none of its own, from the section's that says most of what the
    openings of the others speak of too."""
    if subject.is_one and (chosen := leading(subject.opening, subject.title, token_budget)):
        return [sentence.shown for sentence in chosen]
    frequency = Counter(chain.from_iterable(set(words(section.opening)) for section in subject.sections))
    telling = [place for place, section in enumerate(subject.sections) if _standing(section.opening)]

    def worth(place: int) -> float:
        section = subject.sections[place]
        first = _first(_standing(section.opening), section.title)
        if first is None:
            return 0.0
        terms = set(words(first.shown))
        shared = sum(frequency[term] for term in terms) / max(1, len(terms))
        introduces = place == telling[0] or fold(section.title.strip(" .0123456789")) in INTRODUCING
        return shared * _worth(first, 0, section.title) * (_INTRODUCES if introduces else 1.0)

    best = max(telling, key=lambda place: (worth(place), -place), default=None)
    if best is None:
        return []
    section = subject.sections[best]
    return [sentence.shown for sentence in leading(section.opening, section.title, token_budget)]


def leading(opening: str, title: str, token_budget: int) -> list[ReadSentence]:
    """Sentences that stand together, beginning with the one that says best what the opening is about."""
    sentences = _standing(opening)[:_LOOKED_AT]
    first = _first(sentences, title)
    chosen: list[ReadSentence] = []
    for sentence in sentences[sentences.index(first) :][:_MOST_LEAD] if first is not None else ():
        token_budget -= estimate_tokens(sentence.shown) + 1
        if token_budget < 0:
            break
        chosen.append(sentence)
    return chosen


def _first(sentences: Sequence[ReadSentence], title: str) -> ReadSentence | None:
    """The one that says best what they are about."""
    places = range(min(len(sentences), _LOOKED_AT))
    best = max(places, key=lambda place: (_worth(sentences[place], place, title), -place), default=None)
    return None if best is None else sentences[best]


def _best(opening: str, title: str, said: Sequence[str]) -> str:
    first = _first([one for one in _standing(opening) if one.shown not in said], title)
    return first.shown if first is not None else ""


def _standing(opening: str) -> list[ReadSentence]:
    return [
        sentence
        for sentence in read_sentences(opening)
        if sentence.kind == "prose" and is_whole(sentence.shown) and stands_alone(sentence)
    ]


def _worth(sentence: ReadSentence, place: int, title: str) -> float:
    on_topic = not set(words(title)).isdisjoint(words(sentence.shown))
    worth = standing(sentence, estimate_tokens(sentence.shown), place, on_topic=on_topic)
    return worth * (_ON_TOPIC if on_topic else 1.0) / (1 + _LATER * place)
