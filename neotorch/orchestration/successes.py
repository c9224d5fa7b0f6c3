"""Notes that something regular has succeeded; to be called in the engine's thread."""

from __future__ import annotations

from neotorch.engine import current_engine
from neotorch.observe import marks


def succeeded(what: str) -> None:
    """Note that `what` (see marks.KNOWN) has succeeded now."""
    engine = current_engine()
    marks.done(engine.settings.data_dir, what, engine.clock())
