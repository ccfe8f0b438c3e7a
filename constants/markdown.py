"""What Markdown files are called."""

from __future__ import annotations

SUFFIXES = (".md", ".markdown", ".mdown", ".mdx", ".qmd")
