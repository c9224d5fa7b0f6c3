"""What every part of a study file is made of: frozen models that forbid unknown fields, values with their origin."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


class Model(BaseModel):
    """Frozen, no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sourced(Model):
    """A value with its origin."""

    source: Annotated[str, StringConstraints(min_length=3)]
    """Where the value is from: the registry, a paper with its section, or 'proposed default' with the reason."""
    assumption: bool
    """True where the registry entry does not state it."""


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("nothing is said; give the words")
    return value


Text = Annotated[str, AfterValidator(_said)]


def _english(data: dict[str, str]) -> str:
    return data.get("en", "")


class Words(Model):
    """A label in each language that a site may use."""

    en: Text
    zh: Text = Field(default_factory=_english)
    """The English one where it is not given, which a study file may leave out only if none of its sites reads Chinese."""

    def in_(self, language: str) -> str:
        """Return the label in `language` ('en' or 'zh')."""
        return self.zh if language == "zh" else self.en
