"""The sizes of a diffusion model and its text adapter, and their tensors' shapes; without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PATCH = 2

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class AdapterParams:
    """The sizes of an adapter, all of them read off the shapes of a checkpoint's tensors."""

    vocabulary: int
    width: int
    depth: int
    head_dim: int
    mlp_width: int
    source_width: int

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> AdapterParams:
        """`shapes` maps key names without `llm_adapter.` to tensor shapes. Raises KeyError with a missing key."""
        vocabulary, width = shapes["embed.weight"]
        return cls(
            vocabulary=vocabulary,
            width=width,
            depth=len({key.split(".")[1] for key in shapes if key.startswith("blocks.")}),
            head_dim=shapes["blocks.0.self_attn.q_norm.weight"][0],
            mlp_width=shapes["blocks.0.mlp.0.weight"][0],
            source_width=shapes["blocks.0.cross_attn.k_proj.weight"][1],
        )

    @property
    def shapes(self) -> Shapes:
        """The shapes of all tensors of such an adapter, by their names in it."""
        width = self.width
        found: dict[str, tuple[int, ...]] = {
            "embed.weight": (self.vocabulary, width),
            "out_proj.weight": (width, width),
            "out_proj.bias": (width,),
            "norm.weight": (width,),
        }
        for number in range(self.depth):
            block = f"blocks.{number}"
            found |= _attention(f"{block}.self_attn", "o_proj", width, width, self.head_dim)
            found |= _attention(f"{block}.cross_attn", "o_proj", width, self.source_width, self.head_dim)
            found |= {f"{block}.norm_{part}.weight": (width,) for part in ("self_attn", "cross_attn", "mlp")}
            found |= {
                f"{block}.mlp.0.weight": (self.mlp_width, width),
                f"{block}.mlp.0.bias": (self.mlp_width,),
                f"{block}.mlp.2.weight": (width, self.mlp_width),
                f"{block}.mlp.2.bias": (width,),
            }
        return found


@dataclass(frozen=True)
class TransformerParams:
    """The sizes of a transformer, all of them read off the shapes of a checkpoint's tensors."""

    width: int
    depth: int
    head_dim: int
    mlp_width: int
    context_width: int
    modulation_rank: int
    latent_channels: int
    adapter: AdapterParams

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> TransformerParams:
        """`shapes` maps key names without prefix to tensor shapes. Raises KeyError with a missing key."""
        width, patch_features = shapes["x_embedder.proj.1.weight"]
        return cls(
            width=width,
            depth=len({key.split(".")[1] for key in shapes if key.startswith("blocks.")}),
            head_dim=shapes["blocks.0.self_attn.q_norm.weight"][0],
            mlp_width=shapes["blocks.0.mlp.layer1.weight"][0],
            context_width=shapes["blocks.0.cross_attn.k_proj.weight"][1],
            modulation_rank=shapes["blocks.0.adaln_modulation_self_attn.1.weight"][0],
            latent_channels=patch_features // PATCH**2 - 1,
            adapter=AdapterParams.from_shapes(
                {
                    key.removeprefix("llm_adapter."): shape
                    for key, shape in shapes.items()
                    if key.startswith("llm_adapter.")
                }
            ),
        )

    @property
    def shapes(self) -> Shapes:
        """The shapes of all tensors of such a transformer, by their names in it."""
        width = self.width
        found: dict[str, tuple[int, ...]] = {
            "x_embedder.proj.1.weight": (width, (self.latent_channels + 1) * PATCH**2),
            "t_embedder.1.linear_1.weight": (width, width),
            "t_embedder.1.linear_2.weight": (3 * width, width),
            "t_embedding_norm.weight": (width,),
            "final_layer.linear.weight": (PATCH**2 * self.latent_channels, width),
            **dict(self._modulation("final_layer.adaln_modulation", 2)),
        }
        for number in range(self.depth):
            block = f"blocks.{number}"
            found |= _attention(f"{block}.self_attn", "output_proj", width, width, self.head_dim)
            found |= _attention(f"{block}.cross_attn", "output_proj", width, self.context_width, self.head_dim)
            found[f"{block}.mlp.layer1.weight"] = (self.mlp_width, width)
            found[f"{block}.mlp.layer2.weight"] = (width, self.mlp_width)
            for part in ("self_attn", "cross_attn", "mlp"):
                found |= self._modulation(f"{block}.adaln_modulation_{part}", 3)
        return found | {f"llm_adapter.{name}": shape for name, shape in self.adapter.shapes.items()}

    def _modulation(self, layer: str, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{layer}.1.weight", (self.modulation_rank, self.width)
        yield f"{layer}.2.weight", (outputs * self.width, self.modulation_rank)


def _attention(layer: str, output: str, width: int, source_width: int, head_dim: int) -> Shapes:
    return {
        f"{layer}.q_proj.weight": (width, width),
        f"{layer}.k_proj.weight": (width, source_width),
        f"{layer}.v_proj.weight": (width, source_width),
        f"{layer}.{output}.weight": (width, width),
        f"{layer}.q_norm.weight": (head_dim,),
        f"{layer}.k_norm.weight": (head_dim,),
    }
