"""Settings from `NEOTORCH_*` variables, then `neotorch.toml` in the working folder, then defaults."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from neotorch.domain.errors import NeotorchError
from neotorch.domain.study import Study
from neotorch.domain.study_file import StudyError, read_study


class SettingsError(NeotorchError):
    """The configuration is not usable."""


class ChannelSettings(BaseModel):
    """A notice channel: who listens, where (all sites if none is named), and the apprise URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,29}$")]
    role: str
    site: str | None = None
    url: SecretStr
    language: Annotated[str | None, StringConstraints(pattern="^(en|zh)$")] = None
    digest: bool = False
    """One mail a day with all that can wait, in place of one each."""
    most_per_day: Annotated[int | None, Field(ge=1)] = None
    """Further ones that can wait go into the day's digest."""


class Settings(BaseSettings):
    """Everything that may differ from one installation to the next."""

    model_config = SettingsConfigDict(
        env_prefix="NEOTORCH_", env_nested_delimiter="__", toml_file="neotorch.toml", extra="forbid", frozen=True
    )

    data_dir: Annotated[Path, AfterValidator(lambda p: p.expanduser().absolute())] = Path(".neotorch")
    """Holds the log, its head anchor, the outbox, and Prefect's own files."""
    database_url: str | None = Field(default=None, repr=False)
    """SQLAlchemy URL of the event log; SQLite in the data folder if not set. It may hold a password."""
    study: str = "neotorch-breast03"
    study_version: str = "1.0"
    study_file: Path | None = None
    """A study file of your own, in place of the one that comes with neotorch."""
    channels: list[ChannelSettings] = Field(default_factory=list)
    notice_timeout_seconds: Annotated[float, Field(gt=0, le=45)] = 20
    quiet_hours: bool = True
    """Whether the study's quiet hours are kept; what must never be lost goes out at any hour."""
    flood_factor: Annotated[float, Field(gt=1)] = 5
    """How many times the usual day's notices may go out before the rest is held for a person."""
    flood_floor: Annotated[int, Field(ge=1)] = 50
    """So many notices a day are never held."""
    host: str = "127.0.0.1"
    prefect_port: Annotated[int, Field(ge=0, le=65535)] = 4200
    """0: any free port."""
    work_pool: str = "neotorch"
    journeys_at_once: Annotated[int, Field(ge=1, le=16)] = 1
    """Journeys awake at the same time; on SQLite more than 1 or 2 is slower, not faster."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """Of the log lines on stderr; auto: text on a terminal, else JSON."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    metrics_port: Annotated[int | None, BeforeValidator(lambda v: None if v in ("none", "0", 0, "") else v)] = Field(
        default=9420, ge=1, le=65535
    )
    """Port of /metrics, /health and /ready of `neotorch up`; none or 0: they are off."""
    metrics_host: str = "127.0.0.1"
    backup_dir: Annotated[Path | None, AfterValidator(lambda p: p and p.expanduser().absolute())] = None
    """Where the nightly backup goes, best another machine's disk; the folder `backups` in the data folder if not set."""
    backups_kept: Annotated[int, Field(ge=1)] = 30
    head_notice: bool = False
    """Whether the operators are told the head of the log every night, to keep it where nobody here can reach."""
    head_key: SecretStr | None = None
    """Signs that notice (HMAC-SHA256)."""
    link: str = ""
    """Address that notices name as the place to act; empty: the worklist command."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, neotorch.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def log_url(self) -> str:
        """SQLAlchemy URL of the event log."""
        return self.database_url or f"sqlite:///{self.data_dir / 'log.db'}"

    @property
    def head_file(self) -> Path:
        """Where the head of the hash chain is kept outside the database."""
        return self.data_dir / "head.log"

    @property
    def backups(self) -> Path:
        """Where backups go."""
        return self.backup_dir or self.data_dir / "backups"

    @property
    def sheets(self) -> Path:
        """Where each site's worklist on paper goes."""
        return self.data_dir / "sheets"

    @property
    def outbox(self) -> Path:
        """Where notices go for whom no channel is configured."""
        return self.data_dir / "outbox"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; SettingsError names what is wrong and where."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError(
            "; ".join(lines), "NEOTORCH_* or neotorch.toml", "see docs/configuration.md for names and values"
        ) from None
    except (ValueError, OSError) as error:  # TOML that cannot be read
        raise SettingsError(str(error), "neotorch.toml", "mend or remove the file in the working folder") from None


def load_study(settings: Settings) -> Study:
    """Read the study file that the settings name; StudyError says what is wrong, with path and line."""
    if settings.study_file:
        return load_study_file(settings.study_file)
    path = resources.files("neotorch") / "studies" / settings.study / f"{settings.study_version}.yaml"
    return load_study_file(path, f"no study {settings.study} version {settings.study_version}")


def load_study_file(path: Traversable, absent: str = "no such study file") -> Study:
    """Read a study file; one that amends another is merged with it, which lies beside it as VERSION.yaml."""
    if not path.is_file():
        raise StudyError(
            absent, str(path),
            "set NEOTORCH_STUDY and NEOTORCH_STUDY_VERSION to one that is there, or NEOTORCH_STUDY_FILE to your own",
        )  # fmt: skip
    return read_study(read_text(path), path.name, lambda version: load_study_file(_beside(path, f"{version}.yaml")))


def read_text(path: Traversable) -> str:
    """Return a study file's text; StudyError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise StudyError(f"cannot be read ({error})", str(path), "save it as UTF-8 text that you may read") from None


def _beside(path: Traversable, name: str) -> Traversable:
    """Return another file of the same folder."""
    return Path(str(path)).parent / name
