"""A Dockerfile as its stages and instructions. Knows what ours uses of the language, no more."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """`word` in capitals; `text` with continued lines joined."""

    word: str
    text: str

    @property
    def words(self) -> list[str]:
        """The exec form of CMD, ENTRYPOINT or HEALTHCHECK, as a list."""
        found: list[str] = json.loads(self.text[self.text.index("[") :])
        return found


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it."""

    name: str
    image: str
    instructions: list[Instruction]

    def all(self, word: str) -> list[Instruction]:
        """Every instruction of that word, in order."""
        return [found for found in self.instructions if found.word == word]

    def one(self, word: str) -> Instruction:
        """The only instruction of that word."""
        [found] = self.all(word)
        return found


def stages_of(file: Path) -> list[Stage]:
    """The stages in order."""
    text = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(name, image, []))
        elif word and stages:
            stages[-1].instructions.append(Instruction(word, rest.strip()))
    return stages
