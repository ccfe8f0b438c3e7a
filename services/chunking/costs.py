"""What it costs to begin a chunk at a place, and to hold two sections in one chunk.

The unit is the badness of an empty chunk: a chunk that is filled to the share f of its size costs (1 - f)^2, as the
looseness of a line does in Knuth and Plass, "Breaking Paragraphs into Lines" (1981). So a cost of 0.25 is worth as
much as leaving a chunk half empty. The values were set by reading chunks of documentation in twelve languages.
"""

from __future__ import annotations

import re

from services.chunking.document import Block, MarkdownDocument, is_invisible

# Only where no other way is left: a heading apart from its text.
FORBIDDEN = 1000.0
# Where a model found that a new topic begins: worth any chunk that is not a mere fragment.
NEW_TOPIC = -1.0
# Apart from each other these say little: the mark of a fence and its code, a table's header and its first row.
TORN = 3.0

# Between blocks of one section; more where the whole section would fit into a chunk.
BLOCK = 0.15
KEEP_SECTION = 0.5
# Between the parts of a section that would fit whole.
KEEP_SUBSECTIONS = 0.2
# A line that announces what follows ("For example:"), and a tag whose partner is on the other side.
ANNOUNCED = 0.9
# A short paragraph above a fence, list or table is its caption more often than not; a second fence is the output.
CAPTION = 0.35
_LONGEST_CAPTION = 160
# A paragraph in bold is a heading by another name.
BEFORE_BOLD_TITLE = 0.05
BEFORE_BREAK = 0.5

# Inside a block that is larger than a chunk.
ITEM = 0.3
INSIDE_ITEM = 0.45
DEEPER = 0.12
ROW = 0.3
SENTENCE = 0.4
CODE_PARAGRAPH = 0.2
CODE_LINE = 0.45
# For the deepest line of a block of code; the others by their share of its indentation.
CODE_INDENTATION = 0.55
CODE_CLOSING = 0.4
# Inside a sentence, row, or line.
CLAUSE = 1.0
# One item, row or sentence alone at either side of a cut.
ORPHAN = 0.25

# To hold a subsection together with its parent, with its sibling, or with a section further up.
WITH_PARENT = 0.03
WITH_SIBLING = 0.1
WITH_STRANGER = 0.5
# A chunk shorter than this share of the size is a fragment, and retrieval finds fragments for everything.
FRAGMENT_SHARE = 1 / 6
FRAGMENT = 0.6

_FIGURES = frozenset({"fence", "code_block", "table", "bullet_list", "ordered_list"})
_COLONS = (":", "：", "︰")
_BOLD_TITLE = re.compile(r"(?:\*\*|__)(?!\s)[^*_\n]{1,120}(?:\*\*|__)[:：]?")
_OPENING = re.compile(r"(?:/{3,}|:{3,}|!{3}|\?{3}\+?)\s*[^\s/:]")
_CLOSING = re.compile(r"(?:/{3,}|:{3,})\s*\Z")
_OPENING_TAG = re.compile(r"<([a-zA-Z][\w-]*)(?:\s[^<>]*)?>\s*\Z")


def before(document: MarkdownDocument, previous: Block, block: Block) -> float:
    """Cost of beginning a chunk at `block`, which follows `previous` in the same section."""
    if previous.is_lead:
        return FORBIDDEN
    source = document.source
    if block.kind == "hr":
        return BEFORE_BREAK
    if _closes(source, block) or _opens(source, previous) or _announces(source, previous, block):
        return ANNOUNCED
    if _is_bold_title(source, previous):
        return ANNOUNCED
    if _is_bold_title(source, block) or previous.kind == "hr":
        return BEFORE_BOLD_TITLE
    return BLOCK + CAPTION if _is_caption(previous, block) else BLOCK


def _is_caption(previous: Block, block: Block) -> bool:
    """Whether the two are likely to be about the same: a line and the figure below it, code and its output."""
    if previous.kind == "paragraph":
        return block.kind in _FIGURES and previous.end - previous.start <= _LONGEST_CAPTION
    return previous.kind == block.kind == "fence"


def _announces(source: str, previous: Block, block: Block) -> bool:
    """Whether `previous` ends with a colon, or is a short text right above a table."""
    if previous.kind != "paragraph" or block.kind == "heading":
        return False
    if source[max(previous.start, previous.end - 6) : previous.end].rstrip("*_ ").endswith(_COLONS):
        return True
    return block.kind == "table" and previous.end - previous.start <= 2 * _LONGEST_CAPTION


def _is_bold_title(source: str, block: Block) -> bool:
    return block.kind == "paragraph" and _BOLD_TITLE.fullmatch(source, block.start, block.end) is not None


def _opens(source: str, block: Block) -> bool:
    """Whether the block is the first half of a container (an opening tag, the first line of an admonition), or a
    comment, which is about what follows."""
    if is_invisible(source, block):
        return True
    if block.kind == "html_block":
        tag = _OPENING_TAG.search(source, max(block.start, block.end - 300), block.end)
        return tag is not None and f"</{tag[1]}" not in source[tag.start() : block.end]
    return (
        block.kind == "paragraph"
        and _OPENING.match(source, block.start, block.end) is not None
        and "\n" not in source[block.start : block.end]
    )


def _closes(source: str, block: Block) -> bool:
    """Whether the block is the second half of a container."""
    if block.kind == "html_block":
        return source.startswith("</", block.start)
    return block.kind == "paragraph" and _CLOSING.match(source, block.start, block.end) is not None
