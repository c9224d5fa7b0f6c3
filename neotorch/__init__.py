"""neotorch: an event-driven trial workflow engine."""

__version__ = "0.1.0"
