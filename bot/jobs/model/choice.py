"""Which diffusion models a user may choose in a channel, and which one is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from bot.generation.compose import ModelInfo, choose_model, with_offered_model
from bot.generation.options import Options
from bot.rules.server_settings import ServerSettings

NO_OPTIONS = Options()


@dataclass(frozen=True)
class ModelChoice:
    """The models that one user may choose in one channel.

    models: all models, with the operator's default one.
    offered: the names of those that may be used there.
    defaults: the user's over the server's. server: only the server's. Both leave out a default model that is not
    offered.
    """

    models: ModelInfo
    offered: tuple[str, ...]
    defaults: Options
    server: Options

    @classmethod
    def of(cls, models: ModelInfo, settings: ServerSettings, own: Options) -> Self:
        offered = settings.access.offers(models.models)
        server = with_offered_model(settings.defaults.options(), offered)
        return cls(models, offered, with_offered_model(own, offered).merged_over(server), server)

    def model(self, said: Options = NO_OPTIONS) -> ModelInfo:
        """The model that is used. `said`: the options given with the command."""
        return choose_model(said, self.defaults, self.models, self.offered)

    @property
    def usual(self) -> ModelInfo:
        """The model that is used there if the user chooses none, neither in the command nor in their defaults."""
        return choose_model(NO_OPTIONS, self.server, self.models, self.offered)

    @property
    def has_alternatives(self) -> bool:
        """Whether there are several models to choose from."""
        return len(self.offered) > 1

    def on_offer(self) -> ModelInfo:
        """The model that is used, and as its alternatives only the models that may be used."""
        holds = self.model()
        return replace(holds, models={name: self.models.models[name] for name in self.offered})
