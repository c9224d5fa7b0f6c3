"""What Python does about garbage where nearly all that is made is kept: looking through it costs more than the work."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def little_garbage() -> Iterator[None]:
    """Look for garbage less often than usual: nearly all that is made meanwhile is kept."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def keep() -> None:
    """Look for garbage once, and never again in what is there now; what nobody uses any more is still given back.

    For the states and values of very many patients, which stay as long as the process does: looking through those of
    100,000 takes seconds, and would be done at any time, also between an event and its figures.
    """
    gc.collect()
    gc.freeze()
