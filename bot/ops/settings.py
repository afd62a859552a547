"""The variables of `.env.example`, with types and defaults. Each invalid one is reported in one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from dotenv.parser import parse_stream
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.ops import logs
from bot.prompting.described import TagThresholds
from bot.rules.image_policy import ImagePolicy, thresholds
from bot.rules.setting_types import CREDITS_OUTSIDE, Credits, Snowflake
from inference.cluster.address import head_address
from inference.cluster.token import default_token_file
from inference.process import EngineSettings
from inference.request import DTYPES, Offloading
from storage.backend.errors import DatabaseTimeouts

MINIATURE = Path(__file__).parents[2] / "inference" / "miniature" / "models"


def _readable(text: str) -> str:
    thresholds(text)
    return text


def _split_ids(value: object) -> object:
    """Splits ids at commas and spaces."""
    if not isinstance(value, str):
        return value
    ids = value.replace(",", " ").split()
    for id in ids:
        if not id.isdecimal():
            raise ValueError(
                f"{id!r} is not an id; turn on Developer Mode in Discord, then right-click and choose Copy ID"
            )
    return ids


def _may_be_unlimited(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "unlimited" else value


Ids = Annotated[frozenset[Snowflake], NoDecode, BeforeValidator(_split_ids)]
CreditsOrUnlimited = Annotated[Credits | None, BeforeValidator(_may_be_unlimited)]
Thresholds = Annotated[str, AfterValidator(_readable)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]


class SettingsError(ValueError):
    """Some variables, or their file, are invalid; the message has one sentence for each."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    discord_token: SecretStr | None = None
    discord_api_url: str = "https://discord.com/api/v10"
    discord_gateway_url: str = "wss://gateway.discord.gg/"
    database_url: str = "sqlite:///anima.db"
    database_connect_seconds: Seconds = 10.0
    database_statement_seconds: Seconds = 10.0
    standby: bool = False
    anima_models: Path = Path("models")
    anima_diffusion_model: str | None = None
    anima_text_encoder: str | None = None
    anima_vae: str | None = None
    anima_nag: bool = True
    anima_device: str = "auto"
    anima_dtype: str = "auto"
    anima_offload: Offloading = "auto"
    anima_cluster: str | None = None
    anima_engines: int = Field(1, ge=1, le=1_000)
    anima_cluster_token: Path | None = None
    anima_largest_batch: int = Field(4, ge=1, le=64)
    tag_file: Path | None = None
    picture_classifier: str | None = None
    picture_classifier_hides: Thresholds = "nsfw:0.5"
    picture_classifier_refuses: Thresholds = ""
    anima_tagger: Path | None = None
    anima_tagger_general: Probability = TagThresholds.general
    anima_tagger_names: Probability = TagThresholds.names
    credits_outside_servers: CreditsOrUnlimited = CREDITS_OUTSIDE
    allowed_servers: Ids = frozenset()
    leave_other_servers: bool = False
    max_cached_servers: int = Field(5_000, ge=0)
    operators: Ids = frozenset()
    job_timeout_hours: float = Field(6.0, gt=0, le=8760, allow_inf_nan=False)
    shutdown_grace_seconds: float = Field(20.0, ge=0, le=3600, allow_inf_nan=False)
    prompts_kept_days: Days | None = None
    pictures_kept_days: Days | None = None
    log_format: logs.Format = "auto"
    health_port: int | None = Field(None, ge=0, le=65535)
    health_host: str = "127.0.0.1"

    @classmethod
    def read(cls, **overrides: object) -> Settings:
        """Reads the environment and `.env`. Raises SettingsError."""
        if env_file := overrides.get("_env_file", cls.model_config["env_file"]):
            _check(Path(str(env_file)))
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            sentences = [
                f"{str(each['loc'][0]).upper()}: {each['msg'].removeprefix('Value error, ')}."
                for each in error.errors()
            ]
            raise SettingsError("\n".join(sentences)) from None

    @field_validator("database_url")
    @classmethod
    def _database_has_no_escapes(cls, value: str) -> str:
        _refuse_escapes(value)
        return value

    @field_validator("anima_models", "tag_file", "anima_cluster_token", "anima_tagger")
    @classmethod
    def _may_be_a_path(cls, value: Path | None) -> Path | None:
        _refuse_escapes(str(value))
        try:
            if value is not None:
                value.stat()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise ValueError(f"this path cannot be accessed ({getattr(error, 'strerror', None) or error})") from None
        return value

    @field_validator("discord_token")
    @classmethod
    def _token_can_be_sent(cls, token: SecretStr | None) -> SecretStr | None:
        """A token must fit into an HTTP header. The message never shows it."""
        if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value().strip()):
            raise ValueError(
                "a token contains no spaces and only plain letters; copy it again from the developer portal"
            )
        return token

    @field_validator("anima_dtype")
    @classmethod
    def _dtype_is_known(cls, value: str) -> str:
        if value not in DTYPES:
            raise ValueError(f"{value!r} is not a dtype; use {', '.join(DTYPES[:-1])} or {DTYPES[-1]}")
        return value

    @field_validator("anima_device")
    @classmethod
    def _devices_are_listed(cls, value: str) -> str:
        listed = _listed_devices(value)
        if not all(listed):
            raise ValueError(f"{value!r} has an empty entry between two commas; write it like cuda:0,cuda:1")
        if len(listed) > 1 and (alone := {"all", "auto"}.intersection(listed)):
            raise ValueError(f"{value!r} lists other devices besides {alone.pop()}, which must be the only one")
        return value

    @property
    def devices(self) -> tuple[str, ...]:
        """A device for each engine; one alone may be `all` or `auto`."""
        return _listed_devices(self.anima_device)

    @field_validator("anima_cluster")
    @classmethod
    def _cluster_is_an_address(cls, value: str | None) -> str | None:
        return head_address(value) if value else None

    @property
    def cluster_token_file(self) -> Path:
        """The path of the cluster's token."""
        return self.anima_cluster_token or default_token_file()

    @property
    def first_device(self) -> str:
        """The device for a single engine."""
        return "auto" if self.devices[0] == "all" else self.devices[0]

    @property
    def engine(self) -> EngineSettings:
        """The settings that every engine on this machine is loaded with."""
        return EngineSettings(
            str(self.models),
            self.anima_dtype,
            self.anima_diffusion_model,
            self.picture_classifier,
            self.anima_text_encoder,
            self.anima_vae,
            self.anima_nag,
            self.anima_offload,
        )

    @property
    def image_policy(self) -> ImagePolicy:
        """The rules for finished images if there is a classifier."""
        return ImagePolicy(thresholds(self.picture_classifier_hides), thresholds(self.picture_classifier_refuses))

    @property
    def tag_thresholds(self) -> TagThresholds:
        """The probabilities that the tagger's tags need."""
        return TagThresholds(self.anima_tagger_general, self.anima_tagger_names)

    @property
    def database_timeouts(self) -> DatabaseTimeouts:
        return DatabaseTimeouts(self.database_connect_seconds, self.database_statement_seconds)

    @property
    def models(self) -> Path:
        """The models folder, or the bundled miniature model if there is none."""
        return self.anima_models if self.anima_models.is_dir() else MINIATURE


def _listed_devices(value: str) -> tuple[str, ...]:
    return tuple(device.strip().lower() for device in value.split(","))


def _refuse_escapes(path: str) -> None:
    """Raises ValueError for the result of `"C:\\new"`: in double quotes, `.env` reads \\n as a line break."""
    if re.search(r"[\a\b\f\n\r\t\v]", path):
        raise ValueError(
            f"{path!r} has control characters, because in double quotes a backslash starts an escape such as \\n; "
            "write the path without quotes, or with / instead of \\"
        )


def _check(env_file: Path) -> None:
    """Raises SettingsError if the file exists but is not readable lines of NAME=value."""
    if env_file.is_dir():  # Docker creates one if the file to mount is missing
        raise SettingsError(
            f"{env_file} is a folder, but must be a file. Remove it, and copy .env.example to {env_file}."
        )
    try:
        with env_file.open(encoding="utf-8") as lines:
            broken = next((binding.original.line for binding in parse_stream(lines) if binding.error), None)
    except FileNotFoundError:
        if (named_by_notepad := env_file.with_name(f"{env_file.name}.txt")).exists():
            raise SettingsError(
                f"There is no {env_file}, but {named_by_notepad}, as Notepad saves it. Rename it: in Explorer show "
                f"file name extensions first, or type `ren {named_by_notepad} {env_file.name}`."
            ) from None
        return
    except UnicodeDecodeError:
        raise SettingsError(f"{env_file} is not a UTF-8 text file. Copy .env.example to it and fill it in.") from None
    except OSError as error:
        raise SettingsError(f"{env_file} cannot be read ({error.strerror}). Allow this user to read it.") from None
    if broken is not None:
        raise SettingsError(f"{env_file}, line {broken} is invalid. Lines look like NAME=value, or start with #.")
