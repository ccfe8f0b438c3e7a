"""What of a folder is left out: hidden names, `node_modules`, and what `.gitignore` files or a command name, in git's
own syntax. What comes later in this order decides, so that a command may also take something back (`!build/`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pathspec import GitIgnoreSpec

from interfaces_adaptor.gateways.folders.rules import WalkRules

GITIGNORE = ".gitignore"
PACKAGES = "node_modules/"


@dataclass(frozen=True, slots=True)
class Ignoring:
    """The rules as they are in one folder: those of the `.gitignore` files above it, each with the folder it is in."""

    rules: WalkRules
    of_command: GitIgnoreSpec
    of_folders: tuple[tuple[str, GitIgnoreSpec], ...] = ()

    @classmethod
    def of(cls, rules: WalkRules) -> Ignoring:
        return cls(rules, GitIgnoreSpec.from_lines(rules.ignore))

    def within(self, folder: Path, path: str) -> Ignoring:
        """In the folder at `path` below the root, "" for the root itself. Raises OSError."""
        if not self.rules.gitignore:
            return self
        try:
            lines = (folder / GITIGNORE).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return self
        return replace(self, of_folders=(*self.of_folders, (path, GitIgnoreSpec.from_lines(lines))))

    def reason(self, path: str) -> str | None:
        """Why what is at `path` below the root (a folder with a `/` at its end) is left out; None: it is not."""
        asked_for = self.of_command.check_file(path).include
        if asked_for is not None:
            return "ignored by the command" if asked_for else None
        name = path.rstrip("/").rpartition("/")[2]
        if name.startswith(".") and not self.rules.hidden:
            return "hidden"
        for folder, spec in reversed(self.of_folders):
            ignored = spec.check_file(path.removeprefix(folder)).include
            if ignored is not None:
                return f"ignored by {folder}{GITIGNORE}" if ignored else None
        return "a folder of packages" if f"/{path}".endswith(f"/{PACKAGES}") else None
