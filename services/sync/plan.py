"""What makes a dataset equal to a folder: a pure function of the folder's files and the dataset's documents.

A file's identity is its path below the root. Content decides first: a document whose text stands at another path now
has moved and stays the document that it is, tags and history included, also where two files changed places. Then the
path: what else stands at a document's path is a change of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# What a document's newest version has to be for its text to be what is served, or soon will be.
GOOD = ("ready", "indexing")


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file that can be taken. `path` is below the root, in `/` form and NFC; `checksum` is the SHA-256 of its bytes;
    an `empty` one holds white space alone and is no document."""

    path: str
    checksum: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of the dataset. `checksum` and `status` are those of its newest version."""

    doc_id: str
    source: str
    identity: str
    synced: bool
    checksum: str
    status: str

    @property
    def in_place(self) -> bool:
        """An upload of the file at its source finds it."""
        return self.identity == f"source:{self.source}"


@dataclass(frozen=True, slots=True)
class Moved:
    document: ListedDocument
    path: str


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """`new` and `changed` are paths to send. `adopted` documents came otherwise and are of the folder from now on.
    `gone` are to be deleted; at those of `emptied` a file is left, without text. `held` stay as they are, because what
    stands at their paths could not be read. `others` counts documents that are none of the folder's."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[Moved, ...]
    adopted: tuple[ListedDocument, ...]
    unchanged: tuple[str, ...]
    gone: tuple[ListedDocument, ...]
    emptied: tuple[str, ...]
    held: tuple[ListedDocument, ...]
    others: int
    documents: int

    @property
    def to_send(self) -> list[str]:
        return sorted((*self.new, *self.changed))

    @property
    def to_move(self) -> dict[str, str]:
        """Paths by document; one that is adopted keeps its path."""
        adopted = {document.doc_id: document.source for document in self.adopted}
        return adopted | {move.document.doc_id: move.path for move in self.moved}

    @property
    def nothing_to_do(self) -> bool:
        return not (self.new or self.changed or self.moved or self.adopted or self.gone)

    @property
    def deletes_much(self) -> bool:
        """More than a tenth of the dataset."""
        return len(self.gone) * 10 > self.documents


def plan_sync(files: Iterable[FolderFile], unread: Sequence[str], documents: Sequence[ListedDocument]) -> SyncPlan:
    """`unread` are paths of files, and of folders with a `/` at their end, of whose text nothing is known."""
    found = list(files)
    texts = {file.path: file.checksum for file in found if not file.empty}
    standing = standing_at(texts, documents)
    same = {
        path: document
        for path, document in standing.items()
        if document.checksum == texts[path] and document.status in GOOD
    }
    left = [one for one in documents if one.synced and same.get(one.source) != one]
    held = [one for one in left if one.source not in texts and is_unread(one.source, unread)]
    # A document that came otherwise cannot make way for one that moves.
    occupied = same.keys() | {path for path, document in standing.items() if not document.synced}
    moved = moves({path: texts[path] for path in texts.keys() - occupied}, [one for one in left if one not in held])
    placed = {*same, *(move.path for move in moved)}
    away = {move.document.doc_id for move in moved}
    changed = {
        path: document for path, document in standing.items() if path not in placed and document.doc_id not in away
    }
    stay = away | {document.doc_id for document in (*same.values(), *changed.values(), *held)}
    gone = [one for one in left if one.doc_id not in stay]
    adopted = [one for one in same.values() if not (one.synced and one.in_place)]
    adopted += [one for one in changed.values() if not one.in_place]
    of_folder = stay | {one.doc_id for one in gone}
    return SyncPlan(
        new=tuple(sorted(texts.keys() - placed - changed.keys())),
        changed=tuple(sorted(changed)),
        moved=tuple(moved),
        adopted=by_source(adopted),
        unchanged=tuple(sorted(same)),
        gone=by_source(gone),
        emptied=tuple(sorted({file.path for file in found if file.empty} & {one.source for one in gone})),
        held=by_source(held),
        others=len(documents) - len(of_folder),
        documents=len(documents),
    )


def standing_at(texts: Mapping[str, str], documents: Sequence[ListedDocument]) -> dict[str, ListedDocument]:
    """The document of each path: the one that an upload of the file would find, else one of the folder's."""
    standing: dict[str, ListedDocument] = {}
    for document in documents:
        if document.source not in texts or not (document.synced or document.in_place):
            continue
        if document.source not in standing or document.in_place:
            standing[document.source] = document
    return standing


def moves(texts: Mapping[str, str], documents: Sequence[ListedDocument]) -> list[Moved]:
    """Documents whose text stands elsewhere now, each at one path: under the same file name if it can be."""
    by_checksum: dict[str, list[ListedDocument]] = defaultdict(list)
    for document in by_source(documents):
        if document.status in GOOD:
            by_checksum[document.checksum].append(document)
    moved: list[Moved] = []
    for same_name in (True, False):
        for path in sorted(texts.keys() - {move.path for move in moved}):
            waiting = by_checksum[texts[path]]
            fitting = [one for one in waiting if not same_name or name_of(one.source) == name_of(path)]
            if fitting:
                waiting.remove(fitting[0])
                moved.append(Moved(fitting[0], path))
    return sorted(moved, key=lambda move: move.path)


def is_unread(source: str, unread: Sequence[str]) -> bool:
    return any(source == path or (path.endswith("/") and source.startswith(path)) for path in unread)


def by_source(documents: Iterable[ListedDocument]) -> tuple[ListedDocument, ...]:
    return tuple(sorted(documents, key=lambda document: (document.source, document.doc_id)))


def name_of(path: str) -> str:
    return path.rpartition("/")[2]
