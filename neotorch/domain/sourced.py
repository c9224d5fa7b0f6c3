"""What every part of a study file is made of: frozen models that forbid unknown fields, values with their origin."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Model(BaseModel):
    """Frozen, no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sourced(Model):
    """A value with its origin."""

    source: Annotated[str, StringConstraints(min_length=3)]
    """Where the value is from: the registry, a paper with its section, or 'proposed default' with the reason."""
    assumption: bool
    """True where the registry entry does not state it."""


class Words(Model):
    """A label in each language that a site may use."""

    en: str
    zh: str

    def in_(self, language: str) -> str:
        """Return the label in `language` ('en' or 'zh')."""
        return self.zh if language == "zh" else self.en
