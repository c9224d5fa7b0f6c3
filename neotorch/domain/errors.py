"""The one shape of every error that a person gets to read: what was wrong, where, and what to do about it."""

from __future__ import annotations


class NeotorchError(Exception):
    """Base of all errors that are ours. `str()` is one line that stands alone on a terminal, without a traceback.

    >>> str(NeotorchError("date is 30 February", "visits.csv row 7, field occurred", "Correct the date."))
    'visits.csv row 7, field occurred: date is 30 February. Correct the date.'
    """

    def __init__(self, what: str, where: str = "", todo: str = "") -> None:
        """Keep the three parts; `what` is required, `where` names file, row, field or key, `todo` is the way out."""
        super().__init__(what, where, todo)
        self.what = what
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        """`where: what. todo`, leaving out what is empty."""
        said = self.what if self.what.endswith((".", "!", "?")) or not self.todo else f"{self.what}."
        return " ".join(part for part in (f"{self.where}:" if self.where else "", said, self.todo) if part)

    def as_dict(self) -> dict[str, str]:
        """For `--json`: `{"error", "what", "where", "todo"}`."""
        return {"error": type(self).__name__, "what": self.what, "where": self.where, "todo": self.todo}


class BadInput(NeotorchError):  # noqa: N818 - a condition of the input, told to the one who gave it
    """Something given to us cannot be accepted as it is (exit code 2)."""


class StoreError(NeotorchError):
    """The log cannot do what was asked."""
