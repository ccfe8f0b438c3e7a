"""What makes a dataset equal to a folder, decided without either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sync.plan import FolderFile, ListedDocument, Moved, SyncPlan, plan_sync

PATHS = ["a.md", "b.md", "c.md", "in/a.md", "in/b.md", "in/deep/c.md"]
EMPTY = ""


@dataclass
class Dataset:
    """The dataset as the service keeps it: identities are unique among what is live, an upload finds by identity."""

    documents: dict[str, ListedDocument] = field(default_factory=dict)
    made: int = 0

    def put(self, path: str, checksum: str, *, synced: bool) -> None:
        found = next((one for one in self.documents.values() if one.identity == f"source:{path}"), None)
        if found is None:
            self.made += 1
            found = ListedDocument(f"d{self.made}", path, f"source:{path}", synced, checksum, "ready")
        self.documents[found.doc_id] = replace(
            found, source=path, checksum=checksum, synced=synced or found.synced, status="ready"
        )

    def put_by_id(self, doc_id: str, source: str, checksum: str) -> None:
        self.documents[doc_id] = ListedDocument(doc_id, source, f"id:{doc_id}", False, checksum, "ready")

    def carry_out(self, plan: SyncPlan, files: Mapping[str, str]) -> None:
        """As a commit does: what is deleted and moved first, then what was sent."""
        for document in plan.gone:
            del self.documents[document.doc_id]
        for doc_id, path in plan.to_move.items():
            taken = [one for one in self.documents.values() if one.identity == f"source:{path}"]
            assert all(one.doc_id in plan.to_move for one in taken), (doc_id, path)
        for doc_id, path in plan.to_move.items():
            self.documents[doc_id] = replace(
                self.documents[doc_id], source=path, identity=f"source:{path}", synced=True
            )
        for path in plan.to_send:
            self.put(path, files[path], synced=True)

    def served(self) -> list[tuple[str, str]]:
        """Of the folder."""
        return sorted((one.source, one.checksum) for one in self.documents.values() if one.synced)


def files_of(folder: Mapping[str, str]) -> list[FolderFile]:
    return [FolderFile(path, checksum, empty=checksum == EMPTY) for path, checksum in folder.items()]


def plan_of(folder: Mapping[str, str], dataset: Dataset, unread: tuple[str, ...] = ()) -> SyncPlan:
    return plan_sync(files_of(folder), unread, list(dataset.documents.values()))


def synced(**folder: str) -> Dataset:
    dataset = Dataset()
    for name, checksum in folder.items():
        dataset.put(f"{name}.md", checksum, synced=True)
    return dataset


folders = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["1", "2", "3", EMPTY]))
others = st.lists(st.tuples(st.booleans(), st.sampled_from(PATHS), st.sampled_from(["1", "2", "9"])), max_size=3)
statuses = st.lists(st.sampled_from(["ready", "ready", "indexing", "failed", "superseded"]), min_size=6, max_size=6)


@settings(max_examples=400, deadline=None)
@given(history=st.lists(st.tuples(folders, others, statuses), min_size=1, max_size=5))
def test_after_a_sync_what_is_served_of_a_folder_is_the_folder(
    history: list[tuple[dict[str, str], list[tuple[bool, str, str]], list[str]]],
) -> None:
    dataset = Dataset()
    for number, (folder, uploaded, states) in enumerate(history):
        for by_id, path, checksum in uploaded:
            if by_id:
                dataset.put_by_id(f"own-{number}-{path}", path, checksum)
            else:
                dataset.put(path, checksum, synced=False)
        for document, status in zip(list(dataset.documents.values()), states, strict=False):
            dataset.documents[document.doc_id] = replace(document, status=status)
        strangers = {one.doc_id for one in dataset.documents.values() if one.identity.startswith("id:own")}

        plan = plan_of(folder, dataset)
        assert plan.documents == len(dataset.documents)
        dataset.carry_out(plan, folder)

        assert dataset.served() == sorted((path, text) for path, text in folder.items() if text != EMPTY)
        assert strangers <= dataset.documents.keys()
        assert plan_of(folder, dataset).nothing_to_do


@settings(max_examples=200, deadline=None)
@given(before=folders, paths=st.permutations(PATHS))
def test_a_document_keeps_its_id_wherever_its_text_moves(before: dict[str, str], paths: list[str]) -> None:
    texts = {path: f"{number}" for number, path in enumerate(before)}
    dataset = Dataset()
    dataset.carry_out(plan_of(texts, dataset), texts)
    ids = {one.checksum: one.doc_id for one in dataset.documents.values()}
    shuffled = {to: texts[path] for path, to in zip(texts, paths, strict=False)}

    plan = plan_of(shuffled, dataset)
    assert (plan.new, plan.changed, plan.gone) == ((), (), ())
    dataset.carry_out(plan, shuffled)
    assert {one.checksum: one.doc_id for one in dataset.documents.values()} == ids


def test_a_moved_file_keeps_its_document_and_a_copied_one_has_its_own() -> None:
    dataset = synced(a="1")
    document = dataset.documents["d1"]
    assert plan_of({"b.md": "1"}, dataset).moved == (Moved(document, "b.md"),)
    copied = plan_of({"a.md": "1", "b.md": "1"}, dataset)
    assert (copied.unchanged, copied.new, copied.moved) == (("a.md",), ("b.md",), ())


def test_of_several_that_fit_the_one_of_the_same_name_moves() -> None:
    dataset = synced(a="1", b="1")
    plan = plan_of({"in/b.md": "1"}, dataset)
    assert [(move.document.source, move.path) for move in plan.moved] == [("b.md", "in/b.md")]
    assert [document.source for document in plan.gone] == ["a.md"]


def test_an_emptied_file_is_a_deletion() -> None:
    plan = plan_of({"a.md": EMPTY}, synced(a="1"))
    assert ([document.source for document in plan.gone], plan.emptied) == (["a.md"], ("a.md",))


def test_what_cannot_be_read_keeps_its_document() -> None:
    dataset = synced(a="1", b="2")
    dataset.put("in/c.md", "3", synced=True)
    plan = plan_of({"b.md": "2", "new.md": "1"}, dataset, ("a.md", "in/"))
    assert [document.source for document in plan.held] == ["a.md", "in/c.md"]
    assert (plan.gone, plan.moved, plan.new) == ((), (), ("new.md",))


def test_documents_that_came_otherwise_are_left_alone_until_a_file_stands_for_them() -> None:
    dataset = synced(a="1")
    dataset.put("b.md", "2", synced=False)
    dataset.put_by_id("own", "c.md", "3")
    plan = plan_of({"a.md": "1"}, dataset)
    assert (plan.others, plan.nothing_to_do) == (2, True)
    plan = plan_of({"a.md": "1", "b.md": "2", "c.md": "3"}, dataset)
    assert ([one.source for one in plan.adopted], plan.new, plan.others) == (["b.md"], ("c.md",), 1)


def test_a_version_that_failed_is_sent_again() -> None:
    dataset = synced(a="1")
    dataset.documents["d1"] = replace(dataset.documents["d1"], status="failed")
    assert plan_of({"a.md": "1"}, dataset).changed == ("a.md",)


def test_more_than_a_tenth_is_much() -> None:
    dataset = Dataset()
    for number in range(20):
        dataset.put(f"{number}.md", str(number), synced=True)
    folder = {f"{number}.md": str(number) for number in range(20)}
    for number, much in ((0, False), (1, False), (2, True)):
        del folder[f"{number}.md"]
        assert plan_of(folder, dataset).deletes_much is much
