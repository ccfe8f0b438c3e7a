"""What dialects of Markdown add: what looks like a heading in their blocks is none, and their own headings are."""

from __future__ import annotations

import time

import pytest

from services.chunking import chunk_markdown
from services.chunking.document import parse_markdown
from services.chunking.titles import plain_title
from tests.unit.chunking.invariants import assert_sound

PROSE = "The pier is long and the boats are many, and people wait for bread. " * 6

OPAQUE = {
    "math with a setext mark": "$$\nf(u)\n=\ng(v)\n$$",
    "math with blank lines": "$$\na\n\n# b\n\n- c\n---\n$$",
    "math after a word": "where\n$$\nx\n=\ny\n$$\nholds",
    "math that begins on its first line": "$$ \\begin{aligned}\na\n- b\n=\nc\n\\end{aligned} $$",
    "TeX brackets": "\\[\nx\n=\ny\n\\]",
    "a TeX environment": "\\begin{align*}\na\n=\nb\n\\end{align*}",
    "a Hugo shortcode": "{{< highlight sh >}}\n# make it so\n{{< /highlight >}}",
    "a Hugo shortcode of Markdown": "{{% notice tip %}}\n# Take care\n\ntext\n{{% /notice %}}",
    "nested Hugo shortcodes": "{{< tabs >}}\n{{< tab a >}}\n# one\n{{< /tab >}}\n# two\n{{< /tabs >}}",
    "a shortcode over lines": '{{< figure\n  src="a.png"\n---\n>}}',
    "a Jekyll block": "{% highlight ruby %}\n# a comment\n\nputs 1\n{% endhighlight %}",
    "a Jekyll comment": "{%- comment -%}\n# later\n===\n{%- endcomment -%}",
    "an Obsidian comment": "%%\n# hidden\n\nnothing\n%%",
    "an Obsidian comment in a line": "%% begins here\n# hidden\nends here %%",
    "an HTML comment": "<!--\n# hidden\n\n---\n-->",
    "an HTML comment that begins in a line": "Text <!-- a note\n# hidden\n--> goes on.",
    "MDX imports": "import Tabs from '@theme/Tabs';\nimport {\n  A,\n} from './a';\n---",
    "an MDX export": "export const code = `\n# not this\n`;",
    "an MDX export with a blank line": "export const meta = {\n  a: 1,\n\n# b\n}",
    "an MDX comment": "{/* a note\n# hidden\n*/}",
    "a JSX element": '<Tabs>\n<TabItem value="a">\n\n# in a tab\n\n</TabItem>\n</Tabs>',
    "a JSX tag over lines": "<Code\n  text={`\n# in a property\n`}\n/>",
    "a Docusaurus admonition": ":::note Read this\n\n# Not here\n\n:::",
    "nested admonitions": "::::tip\n:::note\n# a\n:::\n# b\n::::",
    "admonitions of one length": ":::tip\n:::note\n# a\n:::\n# b\n:::",
    "a MyST directive": ":::{admonition} Title\n:class: tip\n\n# a\n:::",
    "a Quarto cell": "```{python}\n#| label: fig\n# a comment\n```",
    "a Quarto division": "::: {.panel-tabset}\n## First\n\ntext\n:::",
    "an admonition of MkDocs": '!!! note "Take care"\n\n    # in the box\n\n    text',
    "a collapsible one": "???+ tip\n\n    # in the box",
    "code with closing marks": "```md\n:::note\n# a\n:::\n{{< /x >}}\n```",
}


@pytest.mark.parametrize("block", OPAQUE.values(), ids=OPAQUE)
def test_what_stands_in_an_opaque_block_is_no_heading(block: str) -> None:
    source = f"# Ship\n\n## Engine\n\n{block}\n\n{PROSE}The engine runs.\n\n## Mast\n\n{PROSE}"
    document = parse_markdown(source)
    assert [section.path for section in document.sections[2:]] == [("Ship",), ("Ship", "Engine"), ("Ship", "Mast")]
    spans = chunk_markdown(source, size=300, overlap=0)
    [path] = [span.heading_path for span in spans if "The engine runs." in source[span.start : span.end]]
    assert path == ("Ship", "Engine")
    assert_sound(source, spans, 300, 0)


HEADINGS = {
    "HTML": "<h2>Engine</h2>",
    "HTML with attributes over lines": '<h2 align="center">\n  <a href="#x">Engine</a>\n</h2>',
    "HTML in a division": '<div align="center">\n<h2>Engine</h2>\n</div>',
    "HTML in a paragraph of one line": '<p align="center"><h2>Engine</h2></p>',
    "HTML under a picture": '<div>\n<img src="a.png">\n<h2>Engine</h2>\n<p>text</p></div>',
    "capitals": "<H2>Engine</H2>",
    "a byte order mark": "\ufeff## Engine",
    "a form feed": "\f## Engine",
    "a form feed and an underline": "\fEngine\n------",
    "a no-break space": "##\u00a0Engine",
    "an ideographic space": "##\u3000Engine",
    "a zero-width space": "\u200b## Engine",
    "a thin space": "##\u2009Engine",
    "after an unclosed shortcode": "{{< tabs >}}\n\n## Engine",
    "after an unclosed container": ":::note\n\n## Engine",
    "after stray math": "It costs\n$$ and more\n\n## Engine",
    "after an unclosed element": "<Tabs>\n\n## Engine",
    "after an unclosed comment of Obsidian": "%%\n\n## Engine",
    "between control words of Jekyll": "{% raw %}\n\n## Engine\n\n{% endraw %}",
    "a shortcode without an end": '{{< figure src="a.png" >}}\n\n## Engine',
    "HTML in capitals": "<DIV>\n\n## Engine\n\nThe engine.\n\n</DIV>",
    "a self-closing element": "<Image />\n\n## Engine",
    "code that ends on its line": ':::code language="c":::\n\n## Engine',
    "a wiki link": "## [[Engine]]",
    "a wiki link with other words": "## [[machines/main|Engine]]",
}


@pytest.mark.parametrize("heading", HEADINGS.values(), ids=HEADINGS)
def test_the_headings_of_a_dialect_are_found(heading: str) -> None:
    source = f"# Ship\n\n{PROSE}\n\n{heading}\n\n{PROSE}The engine runs.\n"
    spans = chunk_markdown(source, size=300, overlap=0)
    [path] = [span.heading_path for span in spans if "The engine runs." in source[span.start : span.end]]
    assert path == ("Ship", "Engine")
    assert_sound(source, spans, 300, 0)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_offsets_are_those_of_the_text_whatever_stands_before_its_headings(line_end: str) -> None:
    source = line_end.join(["\ufeff# One", "", "\f\ufeff#\u00a0Two", "", "$$", "a", "=", "b", "$$", "", "end"])
    document = parse_markdown(source)
    assert [section.path for section in document.sections[2:]] == [("One",), ("Two",)]
    assert source[document.blocks[-2].start :].startswith("$$")
    assert source[document.blocks[-1].start :] == "end"


FITTING = {
    "math": "$$\na\n\nb\n\n= c\n$$",
    "an admonition": "!!! note\n\n    " + "One line of it.\n\n    " * 5 + "The last.",
    "a container": ":::tip\n\n" + "One line of it.\n\n" * 5 + ":::",
    "a definition list": "Term\n\n:   A first paragraph.\n\n    A second one.\n\nOther\n:   Its meaning.",
    "a component": "<Card>\n\nOne.\n\nTwo.\n\nThree.\n\n</Card>",
    "a shortcode": "{{% steps %}}\n\nOne.\n\nTwo.\n\n{{% /steps %}}",
}


@pytest.mark.parametrize("block", FITTING.values(), ids=FITTING)
@pytest.mark.parametrize("before", [0, 40, 80, 120, 160])
def test_a_block_that_fits_is_not_cut(block: str, before: int) -> None:
    source = f"# Book\n\n{PROSE[:before]}\n\n{block}\n\n{PROSE}"
    assert sum(block in source[span.start : span.end] for span in chunk_markdown(source, size=200, overlap=0)) == 1


def test_a_large_admonition_is_cut_between_its_blocks() -> None:
    source = "# Book\n\n!!! note\n\n" + "".join(f"    Paragraph {n} of the box, all of it.\n\n" for n in range(20))
    spans = chunk_markdown(source, size=200, overlap=0)
    assert_sound(source, spans, 200, 0)
    assert all(source[span.start : span.end].endswith("all of it.") for span in spans)


@pytest.mark.parametrize(
    ("heading", "title"),
    [("[[Note]]", "Note"), ("![[a/b#c|Words]] and more", "Words and more"), ("`[[code]]`", "[[code]]")],
)
def test_a_title_has_the_words_of_its_wiki_links(heading: str, title: str) -> None:
    assert plain_title(heading) == title


HOSTILE = {
    "shortcodes that never end": "{{< a >}}\n",
    "cut shortcodes": "{{< a\n",
    "jekyll tags that never end": "{% b %}\n",
    "containers that never end": ":::note\n",
    "components that never end": "<Tab>\n",
    "cut components": "<Tab a='",
    "TeX brackets that never end": "\\[\n",
    "TeX environments that never end": "\\begin{a}\n",
    "exports that never end": "export const a = {\n\n",
    "imports that never end": "import {\n",
    "HTML headings that never end": "<h1>\n",
    "HTML headings in divisions": "<div>\n<h1>a</h1>\n",
    "inner comments that never end": "a <!-- b\n",
    "admonitions": "!!! a\n",
    "definitions": "a\n: b\n",
    "math": "$$\n# a\n",
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_marks_without_an_end_cost_no_more_than_other_lines(line: str) -> None:
    source = line * (300_000 // len(line))
    began = time.process_time()
    spans = chunk_markdown(source)
    assert time.process_time() - began < 6
    assert_sound(source, spans, 1200, 200)


def test_shortcodes_nested_a_thousand_deep_are_one_block() -> None:
    source = "".join(f"{{{{< a{n} >}}}}\n# no\n" for n in range(1_000))
    source += "".join(f"{{{{< /a{n} >}}}}\n" for n in reversed(range(1_000)))
    assert [block.kind for block in parse_markdown(source).blocks] == ["opaque"]
