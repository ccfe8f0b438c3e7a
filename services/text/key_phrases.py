"""A title for a group of texts: the heading they share, else their strongest key phrase."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, pairwise

from services.text.sentences import ReadSentence
from services.text.stop_words import AMBIGUOUS_WORDS, GENERIC_HEADINGS, STOP_WORDS, VAGUE_WORDS
from services.text.words import fold, stem

MAX_TITLE = 32
MOST_TITLES = 4  # that a group can be given, so that its siblings may have others
UNTITLED = "Untitled"

# A heading names a group when it stands over more than this share of its texts. Each level down makes it worth so much
# more: a deep heading over 75 % of the texts says more than the document's title, which the group's siblings share.
_COMMON = 0.5
_SECOND_CHOICE = 0.25
_DEPTH_BONUS = 0.6
_DOMINANT = 0.6  # share of the texts from which a phrase is a title by itself; below, the next one stands beside it

_LONGEST_PHRASE = 4  # words
_LONGEST_RUN = 8  # letters of Han, or words of katakana
_IN_HEADING = 3  # occurrences that one in a heading counts for
_MOST_SENTENCES = 60  # of each text: key phrases repeat, the beginning has them
_MOST_CHARACTERS = 1_000  # of each sentence

_WORD = re.compile(r"[^\W_](?:[\w.:+#'’-]*[\w+#])?")
_HAN_KANA = "\u3005\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_HAN_KANA}]{{2,}}")
_FOREIGN = re.compile(f"[{_HAN_KANA}\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")
# Where a run of Han surely ends a word: function letters of Chinese, and all hiragana.
_RUN_BREAK = re.compile("[的了是和与與我你您他她它这這那吗嗎呢吧就都也很及或等\u3041-\u3096]+")
_UNIT = re.compile("[\u30a1-\u30fa\u30fc-\u30ff]+|.")
_NO_BEGINNING = frozenset("在为為以于於被把从從将將每一则則只还還更最并並而但没沒让讓使该該个個时時其所")
_NO_END = frozenset("在为為以于於被把从從将將每则則只还還更最并並而但没沒让讓该該个個时時其所一不有会會要可")
_CONNECTORS = frozenset(["of", "de", "del", "di", "du", "da", "do", "des"])

_BREAK = re.compile(r"\s*(?::\s|\s[-–—|/]\s|[,;(（：，、]).*")
_NUMBERED = re.compile(
    r"(?:(?:appendix|chapter|example|figure|listing|part|section|step|table)\s+)?(?:\d+(?:[.-]\d+)*|[A-Z](?=\s*[:.)]))"
    r"\s*[-–—.):]?\s+(?=\D)",
    re.IGNORECASE,
)


def titles_of(
    texts: Sequence[Sequence[ReadSentence]], heading_paths: Sequence[tuple[str, ...]] = (), most: int = MOST_TITLES
) -> tuple[str, ...]:
    """At least one title and at most `most`, the best first, all different: each has at most 32 characters and is
    never a bare stop word or a number.

    `heading_paths` are the titles above each text, outermost first; they may be left out.
    """
    texts = [sentences[:_MOST_SENTENCES] for sentences in texts]
    found: dict[str, str] = {}
    candidates = (
        _common_headings(heading_paths),
        _frequent_headings(heading_paths),
        _key_phrases(texts, heading_paths),
        _beginnings(texts),
    )
    for candidate in chain.from_iterable(candidates):
        title = shortened(candidate)
        if _says_something(title):
            found.setdefault(fold(title), title)
        if len(found) == most:
            break
    return tuple(found.values()) or (UNTITLED,)


def distinct_titles(choices: Sequence[Sequence[str]]) -> list[str]:
    """One title of each sequence, the best that none before it has: neighbours in an outline can be told apart."""
    taken: set[str] = set()
    titles = []
    for choice in choices:
        title = next((title for title in choice if fold(title) not in taken), None) or _numbered(choice[0], taken)
        taken.add(fold(title))
        titles.append(title)
    return titles


def shared_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The longest heading path that stands over more than half of `paths`, or ()."""
    share = _shares(paths)
    common = [path for path in share if share[path] > _COMMON]
    return max(common, key=lambda path: (len(path), share[path], path), default=())


def _shares(paths: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    """For each heading path, the share of `paths` that it stands over."""
    covered = Counter(path[: depth + 1] for path in paths for depth in range(len(path)))
    return {path: count / len(paths) for path, count in covered.items()}


def shortened(title: str) -> str:
    """Cut to 32 characters: at a colon or dash where enough stands before it, else after a word, with an ellipsis."""
    title = " ".join(title.split())
    if len(title) <= MAX_TITLE:
        return title
    title = _NUMBERED.sub("", title, count=1) if _NUMBERED.match(title) else title
    if len(title) <= MAX_TITLE:
        return title
    head = _BREAK.sub("", title)
    if 8 <= len(head) <= MAX_TITLE:
        return head
    cut = title[: MAX_TITLE - 1]
    if title[MAX_TITLE - 1] != " " and " " in cut[MAX_TITLE // 2 :]:
        cut = cut[: cut.rindex(" ")]
    kept = cut.split(" ")
    while len(kept) > 1 and fold(kept[-1]) in STOP_WORDS:
        kept.pop()
    return " ".join(kept).rstrip(" ,;:.-–—") + "…"


def _says_something(title: str) -> bool:
    found = [fold(word) for word in _WORD.findall(title)]
    return any(word not in STOP_WORDS and not word.replace(".", "").isdigit() for word in found)


def _numbered(title: str, taken: Collection[str]) -> str:
    number, candidate = 1, title
    while fold(candidate) in taken:
        number += 1
        ending = f" ({number})"
        candidate = title[: MAX_TITLE - len(ending)].rstrip() + ending
    return candidate


def _common_headings(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Headings that stand over many of the texts, best first; above the best one last, because siblings share those."""
    share = _shares(paths)
    order = sorted(share, key=lambda path: (-share[path] * (1 + _DEPTH_BONUS * len(path)), path))
    if not order or share[order[0]] <= _COMMON:
        return []
    best = order[0]
    order.sort(key=lambda path: path != best and path == best[: len(path)])
    return [name for path in order if share[path] >= _SECOND_CHOICE for name in _names(path)]


def _frequent_headings(paths: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Where no heading stands over most of the texts: the two that stand over most of them, together, then each."""
    counts = Counter(next((title for title in reversed(path) if not is_generic(title)), "") for path in paths)
    del counts[""]
    named = [title for title, _ in counts.most_common(3)]
    for other in named[1:]:
        pair = f"{named[0]}, {other}"
        if len(pair) <= MAX_TITLE:
            yield pair
    yield from named


def _names(path: tuple[str, ...]) -> list[str]:
    """What a heading path may be called: `Examples` says nothing without what they are examples of."""
    if not is_generic(path[-1]):
        return [path[-1]]
    owner = next((title for title in reversed(path[:-1]) if not is_generic(title)), None)
    if owner is None:
        return []
    both = f"{owner}: {path[-1]}"
    return [both, owner] if len(both) <= MAX_TITLE else [owner]


def is_generic(heading: str) -> bool:
    """Whether a heading says what a section is for and not what it is about."""
    return fold(heading.strip(" :.0123456789")) in GENERIC_HEADINGS


@dataclass(slots=True)
class _Phrase:
    occurrences: int = 0
    texts: set[int] = field(default_factory=set)
    in_headings: int = 0
    spellings: Counter[str] = field(default_factory=Counter)
    fitness: float = 1.0

    def add(self, text: int, weight: int, spelling: str) -> None:
        self.occurrences += weight
        self.in_headings += weight > 1
        self.texts.add(text)
        self.spellings[spelling] += weight

    @property
    def score(self) -> float:
        """Spread over the texts, and less than proportionally the repetitions within them."""
        spread = len(self.texts)
        return self.fitness * spread * (1 + math.log(self.occurrences / spread))

    @property
    def spelling(self) -> str:
        """The commonest with a capital letter, if there is any: of a heading, a name, or a sentence's first word."""
        return max(self.spellings, key=lambda form: (any(map(str.isupper, form)), self.spellings[form], form))


def _key_phrases(texts: Sequence[Sequence[ReadSentence]], paths: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The strongest phrase; with the strongest of the remaining texts beside it, where it is in a part of them only."""
    passages = list(_passages(texts, paths))
    phrases = [*_spaced_phrases(passages), *_unspaced_phrases(passages)]
    phrases.sort(key=lambda phrase: (-phrase.score, phrase.spelling))
    for phrase in phrases[:8]:
        if len(phrase.texts) < _DOMINANT * len(texts):
            yield from _with_companion(phrase, phrases)
        yield phrase.spelling


def _with_companion(phrase: _Phrase, phrases: Sequence[_Phrase]) -> Iterator[str]:
    own = {stem(fold(word)) for word in phrase.spelling.split()}

    def gain(other: _Phrase) -> float:
        return other.score * len(other.texts - phrase.texts) / len(other.texts)

    for other in sorted(phrases[:40], key=lambda other: -gain(other)):
        comma = "、" if _RUN.fullmatch(phrase.spelling) and _RUN.fullmatch(other.spelling) else ", "
        pair = phrase.spelling + comma + other.spelling
        distinct = own.isdisjoint(stem(fold(word)) for word in other.spelling.split())
        if distinct and gain(other) > 0 and len(pair) <= MAX_TITLE:
            yield pair
            return


def _passages(
    texts: Sequence[Sequence[ReadSentence]], paths: Sequence[tuple[str, ...]]
) -> Iterator[tuple[int, int, str]]:
    """(index of the text, weight, words) of all headings and sentences."""
    for index, path in enumerate(paths):
        for heading in path:
            if not is_generic(heading):
                yield index, _IN_HEADING, heading
    for index, sentences in enumerate(texts):
        for sentence in sentences:
            shown = sentence.shown[:_MOST_CHARACTERS]
            if sentence.kind in ("prose", "item"):
                yield index, 1, shown
            elif sentence.kind == "heading" and not is_generic(shown):
                yield index, _IN_HEADING, shown


def _spaced_phrases(passages: Sequence[tuple[int, int, str]]) -> Iterator[_Phrase]:
    """Phrases of one to four words that occur more than once, without stop words at their ends."""
    segments = [(index, weight, segment) for index, weight, text in passages for segment in _segments(text)]
    singles: Counter[str] = Counter()
    for _, weight, segment in segments:
        for key, _ in segment:
            singles[key] += weight
    phrases: dict[tuple[str, ...], _Phrase] = {}
    for index, weight, segment in segments:
        for keys, spelling in _repeated(segment, singles):
            phrases.setdefault(keys, _Phrase()).add(index, weight, spelling)
    for keys, phrase in phrases.items():
        if phrase.occurrences > 1:
            phrase.fitness = _fitness(keys, phrase)
            yield phrase


def _segments(text: str) -> Iterator[list[tuple[str, str]]]:
    """Stretches of (key, spelling) that nothing but single spaces parts, broken at stop words."""
    segment: list[tuple[str, str]] = []
    end = -1
    for match in _WORD.finditer(text):
        word = match.group()
        if segment and (match.start() != end + 1 or text[end] != " "):
            yield segment
            segment = []
        end = match.end()
        key = _key(word)
        if key:
            segment.append((key, word))
        elif segment:
            yield segment
            segment = []
    if segment:
        yield segment


@lru_cache(maxsize=1 << 14)
def _key(word: str) -> str:
    """The folded stem of a word, or nothing for what no title may be made of."""
    folded = fold(word)
    if folded in _CONNECTORS:
        return folded
    if (
        folded in STOP_WORDS
        or folded in AMBIGUOUS_WORDS
        or len(word) > MAX_TITLE
        or _FOREIGN.search(word)
        or not any(map(str.isalpha, word))
    ):
        return ""
    return stem(folded.removesuffix("'s").removesuffix("’s"))


def _repeated(segment: list[tuple[str, str]], singles: Counter[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The phrases of a segment whose every word occurs more than once."""
    for first in range(len(segment)):
        if segment[first][0] in _CONNECTORS:
            continue
        keys: tuple[str, ...] = ()
        for key, _ in segment[first : first + _LONGEST_PHRASE]:
            if singles[key] < 2:
                break
            keys += (key,)
            if key not in _CONNECTORS:
                spelling = " ".join(word for _, word in segment[first : first + len(keys)])
                if len(spelling) <= MAX_TITLE:
                    yield keys, spelling


def _fitness(keys: tuple[str, ...], phrase: _Phrase) -> float:
    """How much a phrase looks like a title: of a few words, none of them vague, chosen by an author for a heading."""
    content = [key for key in keys if key not in _CONNECTORS]
    vague = sum(key in _VAGUE for key in content)
    form = (1.0, 2.0, 2.2, 2.2)[len(content) - 1] * (1 - 0.6 * vague / len(content))
    if len(content) == 1 and max(map(len, phrase.spellings)) < 4 and not phrase.spelling.isupper():
        form *= 0.5
    if is_generic(phrase.spelling):
        form *= 0.3
    capital = sum(count for spelling, count in phrase.spellings.items() if not spelling.islower())
    if capital >= 0.8 * phrase.occurrences:  # a name, not a word that begins sentences now and then
        form *= 1.3
    return form * (1.5 if phrase.in_headings else 1.0)


_VAGUE = frozenset(map(stem, VAGUE_WORDS))


def _unspaced_phrases(passages: Sequence[tuple[int, int, str]]) -> Iterator[_Phrase]:
    """Repeated stretches of Han letters and katakana words."""
    stretches = [
        (index, weight, _UNIT.findall(stretch))
        for index, weight, text in passages
        for run in _RUN.findall(text)
        for stretch in _RUN_BREAK.split(run)
        if len(stretch) > 1
    ]
    pairs: Counter[str] = Counter()
    for _, weight, units in stretches:
        for unit, following in pairwise(units):
            pairs[unit + following] += weight
    phrases: dict[str, _Phrase] = {}
    longer: Counter[str] = Counter()
    for index, weight, units in stretches:
        for piece in _repeated_pieces(units, pairs):
            phrases.setdefault("".join(piece), _Phrase()).add(index, weight, "".join(piece))
            for part in (piece[1:], piece[:-1]):
                longer["".join(part)] += weight
    for piece, phrase in phrases.items():
        # A piece that mostly occurs inside longer ones is a fragment of them.
        if phrase.occurrences > 1 and longer[piece] < 0.6 * phrase.occurrences and _is_phrase(piece):
            phrase.fitness = (1.0 + 0.3 * min(len(piece) - 2, 3)) * (1.5 if phrase.in_headings else 1.0)
            yield phrase


def _repeated_pieces(units: Sequence[str], pairs: Counter[str]) -> Iterator[Sequence[str]]:
    for first, unit in enumerate(units):
        if len(unit) > 1:
            yield [unit]
        for end in range(first + 2, min(first + _LONGEST_RUN, len(units)) + 1):
            if pairs[units[end - 2] + units[end - 1]] < 2:
                break
            yield units[first:end]


def _is_phrase(piece: str) -> bool:
    if piece[0] in _NO_BEGINNING or piece[-1] in _NO_END or piece in VAGUE_WORDS:
        return False
    return piece[:2] not in STOP_WORDS and piece[-2:] not in STOP_WORDS


def _beginnings(texts: Sequence[Sequence[ReadSentence]]) -> Iterator[str]:
    """The last resort, for texts in which nothing repeats: how they begin."""
    for sentences in texts:
        for sentence in sentences:
            if sentence.kind != "other":
                yield sentence.shown[:200].strip(" |")
