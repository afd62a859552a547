"""A tagger that answers at once what a test tells it to."""

from __future__ import annotations

import threading

from inference.tagging.tag_list import TagGuess, TagKind


class FakeTagger:
    def __init__(self) -> None:
        self.found = [
            TagGuess("general", TagKind.RATING, 0.9),
            TagGuess("smile", TagKind.GENERAL, 0.8),
            TagGuess("1girl", TagKind.GENERAL, 0.7),
        ]
        #: Raised instead of an answer, if there is one.
        self.error: Exception | None = None
        #: Sizes of the files that it was given.
        self.asked: list[int] = []
        self._may_answer = threading.Event()
        self._may_answer.set()

    def shows(self, *names: str) -> None:
        self.found = [TagGuess(name, TagKind.GENERAL, 0.9 - number / 1000) for number, name in enumerate(names)]

    def hold(self) -> None:
        """Answer nobody until `let_go`."""
        self._may_answer.clear()

    def let_go(self) -> None:
        self._may_answer.set()

    def guesses(self, png: bytes) -> list[TagGuess]:
        self.asked.append(len(png))
        self._may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.found

    def stop(self) -> None:
        self.let_go()
