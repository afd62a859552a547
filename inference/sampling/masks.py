"""Masks: redraws a part of an image and keeps the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from inference.sampling.schedules import TIMES, shift_time


class Redraw:
    """Applies a mask to a denoiser: outside of it, the input is the latent with x's noise, and the output the latent.

    mask: [B or 1, 1, H, W], 1 = draw; resized to the latent's size bilinearly. latent, x: [B, C, (1,) h, w]; x is the
    latent noised to sigmas[0]. A single latent can serve all images.

    Raises ValueError if their shapes do not fit.
    """

    def __init__(
        self, mask: Tensor, latent: Tensor, x: Tensor, sigmas: Sequence[float], shift: float, differential: bool
    ) -> None:
        if latent.shape[1:] != x.shape[1:] or len(latent) not in (1, len(x)):
            raise ValueError(f"a mask's latent must have x's shape {list(x.shape)}, and this has {list(latent.shape)}")
        self.mask = fitted(mask, x)
        self.latent = latent.to(x)
        self.noise = (x - (1 - sigmas[0]) * self.latent) / sigmas[0]
        least = shift_time(1 / TIMES, shift)
        self._range = (max(sigmas[-1], least), sigmas[0]) if differential else None
        self._sigmas = sigmas

    def changes_nothing(self) -> bool:
        """Whether x0 is the latent at every step: in the latent's size nothing is left of the mask, or a differential
        mask is so dark that no place is ever drawn."""
        return not any(bool(self._mask_at(sigma).any()) for sigma in self._sigmas[:-1])

    def blend_input(self, x: Tensor, sigma: float) -> Tensor:
        mask = self._mask_at(sigma)
        return x * mask + (sigma * self.noise + (1 - sigma) * self.latent) * (1 - mask)

    def blend_output(self, x0: Tensor, sigma: float) -> Tensor:
        mask = self._mask_at(sigma)
        return x0 * mask + self.latent * (1 - mask)

    def _mask_at(self, sigma: float) -> Tensor:
        """The mask; for a differential one, 1 in the places that are drawn from this sigma on or earlier."""
        if self._range is None:
            return self.mask
        last, first = self._range
        threshold = (sigma - last) / (first - last) if first > last else 0.0
        return (self.mask >= threshold).to(self.mask.dtype)


def fitted(mask: Tensor, like: Tensor) -> Tensor:
    """The mask in the latents' size, dtype and device, with their number of axes.

    Raises ValueError if it is not [B or 1, 1, H, W].
    """
    if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[0] not in (1, len(like)):
        raise ValueError(f"a mask must be [B, 1, H, W] with B {len(like)} or 1, and this is {list(mask.shape)}")
    mask = mask.to(like.device, torch.float32).clamp(0, 1)
    if mask.shape[-2:] != like.shape[-2:]:
        mask = functional.interpolate(mask, size=like.shape[-2:], mode="bilinear")
    return (mask if like.ndim == 4 else mask.unsqueeze(2)).to(like.dtype)
