"""How the machinery is watched: structured logs, metrics, health. Nothing of the trial hangs on any of it."""
