"""Blocks that dialects of Markdown have beside CommonMark's: admonitions, definition lists, HTML headings, and opaque
blocks, whose lines are no Markdown whatever they begin with.

Plugins of mdit-py-plugins do what nests. Opaque blocks have one rule of our own: the plugins for math and `:::` take an
opening without a closing for a block to the end of the document, and would hide every heading after a stray mark.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock, html_block
from mdit_py_plugins.admon import admon_plugin
from mdit_py_plugins.deflist import deflist_plugin

from services.chunking.pairs import NEVER, Pairs

FRONT_MATTER_LINES = "front matter"  # in the parser's environment: how many lines it has
_PAIRS = "pairs"
_INTERRUPTED: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
# Math and comments that reach further than this have lost their end.
_MOST_LINES = 500
_MATH_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_ENVIRONMENT = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")
_MODULE = re.compile(
    r"import\s+(?:['\"]|[\w*{][^\n'\"]*(?:\n[^\n'\"]+){0,40}?\sfrom\s+['\"])"
    r"|export\s+(?:default|const|let|var|function|async|class|type|interface|\*|\{)"
)
# Parts between blank lines, and characters, that an unclosed bracket is looked after in.
_MOST_PARTS, _LONGEST_MODULE = 16, 8_000
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_LONGEST_HEADING = 2_000
_MOST_HEADING_LINES = 12
_HTML_HEADING = re.compile(
    r"(?:<(?!h[1-6])[a-z][\w-]*(?:\s[^<>]*)?>[ \t]*(?:</a>[ \t]*)?){0,3}"
    r"<h(?P<level>[1-6])(?:\s[^<>]*)?>(?P<title>.*?)</h(?P=level)\s*>",
    re.IGNORECASE | re.DOTALL,
)
_HTML_HEADING_LINE = re.compile(r"^[ \t]{0,3}(?:<[a-z][^<>\n]*>[ \t]*(?:</a>[ \t]*)?){0,3}<h[1-6][\s>]", re.I | re.M)
_VERBATIM_HTML = re.compile(r"<(?:[!?]|(?:script|pre|style|textarea)\b)", re.IGNORECASE)


def add_dialects(parser: MarkdownIt) -> None:
    parser.use(deflist_plugin).use(admon_plugin)
    rules = parser.block.ruler
    rules.before("table", "front_matter", _front_matter_rule)
    rules.before("fence", "html_heading", _html_heading_rule, {"alt": ["paragraph", "reference", "blockquote"]})
    rules.before("fence", "opaque", _opaque_rule, _INTERRUPTED)
    rules.at("html_block", _html_rule, {"alt": ["paragraph", "reference", "blockquote"]})


def _front_matter_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Where it ends is known before the parse: `services/text/front_matter.py`."""
    lines = state.env.get(FRONT_MATTER_LINES, 0)
    if start_line or silent or not lines or state.level:
        return False
    state.push("front_matter", "", 0).map = [0, lines]
    state.line = lines
    return True


def _opaque_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    begin = state.bMarks[start_line] + state.tShift[start_line]
    find = _ENDS.get(state.src[begin : begin + 1])
    if find is None or state.is_code_block(start_line):
        return False
    pairs = state.env.get(_PAIRS)
    if pairs is None:
        pairs = state.env[_PAIRS] = Pairs(state.src)
    end = find(pairs, begin)
    if end == NEVER:
        return False
    last = bisect_right(state.bMarks, end - 1, start_line, len(state.bMarks) - 1) - 1
    if last >= end_line:
        return False
    if not silent:
        state.push("opaque", "", 0).map = [start_line, last + 1]
        state.line = last + 1
    return True


def _math_end(pairs: Pairs, begin: int) -> int:
    return _bounded(pairs, begin, "$$", "$$") if pairs.text.startswith("$$", begin) else NEVER


def _comment_end(pairs: Pairs, begin: int) -> int:
    """Obsidian's `%%`."""
    return _bounded(pairs, begin, "%%", "%%") if pairs.text.startswith("%%", begin) else NEVER


def _tex_end(pairs: Pairs, begin: int) -> int:
    if pairs.text[begin : begin + 3].rstrip() == "\\[":
        return _bounded(pairs, begin, "\\[", "\\]")
    environment = _ENVIRONMENT.match(pairs.text, begin, begin + 60)
    return _bounded(pairs, begin, environment[0], f"\\end{{{environment[1]}}}") if environment else NEVER


def _bounded(pairs: Pairs, begin: int, opening: str, closing: str) -> int:
    """The end of a block of at least two lines between marks that stand in no fence."""
    end = pairs.next(closing, begin + len(opening))
    if end == NEVER:
        return NEVER
    breaks = pairs.text.count("\n", begin, end)
    if not 0 < breaks <= _MOST_LINES or (opening != "%%" and _MATH_FENCE.search(pairs.text, begin, end)):
        return NEVER
    return end


def _brace_end(pairs: Pairs, begin: int) -> int:
    """Hugo's and Jekyll's shortcodes with their content, comments of MDX."""
    if pairs.text.startswith("{/*", begin):
        return pairs.next("*/}", begin)
    if pairs.text.startswith("{%", begin):
        return pairs.jekyll.get(begin, NEVER)
    return pairs.hugo.get(begin, NEVER) if pairs.text.startswith("{{", begin) else NEVER


def _component_end(pairs: Pairs, begin: int) -> int:
    """Of JSX; HTML in capitals is HTML."""
    return pairs.components.get(begin, NEVER) if pairs.text[begin + 1 : begin + 3].istitle() else NEVER


def _container_end(pairs: Pairs, begin: int) -> int:
    return pairs.containers.get(begin, NEVER) if pairs.text.startswith(":::", begin) else NEVER


def _module_end(pairs: Pairs, begin: int) -> int:
    """Imports and exports of MDX, up to the first blank line outside of brackets and template strings."""
    text = pairs.text
    if (begin and text[begin - 1] != "\n") or not text.startswith(("import", "export"), begin):
        return NEVER
    if not _MODULE.match(text, begin, begin + _LONGEST_MODULE):
        return NEVER
    ends = [begin]
    while len(ends) <= _MOST_PARTS and (blank := text.find("\n\n", ends[-1] + 1, begin + _LONGEST_MODULE)) >= 0:
        ends.append(blank)
        if _is_balanced(text[begin:blank]):
            return blank
    if begin + _LONGEST_MODULE >= len(text) and _is_balanced(text[begin:]):
        return len(text)
    return ends[1] if len(ends) > 1 else NEVER


def _is_balanced(code: str) -> bool:
    return code.count("`") % 2 == 0 and all(code.count(a) == code.count(b) for a, b in _BRACKETS.items())


_ENDS: dict[str, Callable[[Pairs, int], int]] = {
    "$": _math_end,
    "%": _comment_end,
    "\\": _tex_end,
    "{": _brace_end,
    "<": _component_end,
    ":": _container_end,
    "i": _module_end,
    "e": _module_end,
}


def _html_heading_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """`<h1>` to `<h6>`, also inside of up to three tags that open on its line, as a heading like any other."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if state.src[begin : begin + 1] != "<" or state.is_code_block(start_line):
        return False
    heading = _HTML_HEADING.match(state.src, begin, begin + _LONGEST_HEADING)
    if heading is None:
        return False
    after = bisect_right(state.bMarks, heading.end() - 1, start_line, len(state.bMarks) - 1)
    if after > min(end_line, start_line + _MOST_HEADING_LINES):
        return False
    if not silent:
        tag = f"h{heading['level']}"
        state.push("heading_open", tag, 1).map = [start_line, after]
        inline = state.push("inline", "", 0)
        inline.map, inline.content, inline.children = [start_line, after], heading["title"].strip(), []
        state.push("heading_close", tag, -1)
        state.line = after
    return True


def _html_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """The library's HTML block, which ends before a heading in HTML: READMEs begin with `<div>` and `<h1>`."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if state.src[begin : begin + 1] != "<":
        return False
    if not _VERBATIM_HTML.match(state.src, begin):
        end_line = min(end_line, _next_html_heading(state, start_line))
    return html_block(state, start_line, end_line, silent)


def _next_html_heading(state: StateBlock, line: int) -> int:
    lines = state.env.get("html headings")
    if lines is None:
        starts = (match.start() for match in _HTML_HEADING_LINE.finditer(state.src))
        lines = state.env["html headings"] = [bisect_right(state.bMarks, start) - 1 for start in starts]
    place = bisect_right(lines, line)
    return lines[place] if place < len(lines) else state.lineMax
