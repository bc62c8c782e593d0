"""Draw items in a thread of their own, a few ahead of whoever needs them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Feed(Generic[Item]):
    """The items of an iterable, at most `ahead` of them waiting.

    Making the next item may take long, or wait for what somebody does with the last one: a language model that drew its calls between a
    question and its answer would stand still, and wait for ever where its own answer is what is waited for. Any thread may take.
    """

    def __init__(self, items: Iterable[Item], ahead: int) -> None:
        self._items = items
        self._ahead = ahead
        self._ready: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._draw, name="feed", daemon=True).start()

    def take(self, wait_s: float | None = None) -> Item | None:
        """The next item; None at the end, and where none is ready within `wait_s` (None: ever). What drawing raised is raised here."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended, wait_s)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None

    @property
    def ended(self) -> bool:
        """Whether there is nothing to take any more."""
        with self._changed:
            return self._ended and not self._ready

    def close(self) -> None:
        """Draw no more, and forget what nobody took."""
        with self._changed:
            self._closed = self._ended = True
            self._ready.clear()
            self._changed.notify_all()

    def _draw(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    while len(self._ready) >= self._ahead and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
