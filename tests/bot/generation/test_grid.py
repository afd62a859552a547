"""The labelled grid: what it shows where, how large it becomes, and what its file says."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image, ImageChops

from bot.generation import grid as module
from bot.generation.comparison import Axis, AxisKind, Comparison, Value
from bot.generation.grid import BACKGROUND, MAX_FILE_SIZE, MAX_SIDE_LENGTH, Grid, grid
from bot.text.languages import speaking
from inference.metadata import Parameters, encode_png, read

SAMPLER_NAMES = ("er_sde", "euler_a", "dpmpp_2m_sde_gpu")
Pixel = tuple[int, int, int]


def comparison(columns: int, rows: int = 0, what: AxisKind = AxisKind.STEPS) -> Comparison:
    across = Axis(what=what, values=tuple(float(10 + value) for value in range(columns)), of="hat")
    down = Axis(what=AxisKind.CFG, values=tuple(float(value) for value in range(1, rows + 1)))
    return Comparison(columns=across, rows=down if rows else None)


def colour(index: int) -> Pixel:
    return 100 + index * 8, 255 - index * 12, index * 16 % 256


def cell(index: int, size: tuple[int, int], **parameters: object) -> bytes:
    return encode_png(Image.new("RGB", size, colour(index)), made(size, **parameters))


def made(size: tuple[int, int], **parameters: object) -> Parameters:
    settings = {"steps": 4, "cfg_scale": 4.0, "sampler": "er_sde", "scheduler": "simple", "seed": 7, "model": "mini"}
    return Parameters(
        **{"prompt": "1girl", "width": size[0], "height": size[1], "software": "Anima Bot", **settings, **parameters}  # type: ignore[arg-type]
    )


def composed(asked: Comparison, size: tuple[int, int] = (64, 64)) -> tuple[Image.Image, Grid]:
    made = grid(asked, [cell(index, size) for index in range(len(asked.labels))], "typed")
    image = Image.open(io.BytesIO(made.png)).convert("RGB")
    assert image.size == (made.width, made.height)
    return image, made


def boxes(image: Image.Image, count: int) -> list[tuple[int, int, int, int]]:
    """Where each cell's colour is."""
    found = []
    for index in range(count):
        plain = Image.new("RGB", image.size, colour(index))
        mask = ImageChops.difference(image, plain).convert("L").point(lambda value: 255 if value == 0 else 0)
        box = mask.getbbox()
        assert box is not None
        assert mask.crop(box).getextrema() == (255, 255), "the cell is not all there"
        found.append(box)
    return found


def has_ink(image: Image.Image, box: tuple[int, int, int, int]) -> bool:
    part = image.crop(box)
    return ImageChops.difference(part, Image.new("RGB", part.size, BACKGROUND)).getbbox() is not None


@pytest.mark.parametrize(("columns", "rows"), [(2, 0), (4, 0), (5, 0), (7, 0), (16, 0), (3, 3), (2, 8), (8, 2), (1, 2)])
def test_cells_stand_row_by_row_each_with_its_label(columns: int, rows: int) -> None:
    asked = comparison(columns, rows)
    image, _ = composed(asked)
    found = boxes(image, len(asked.labels))
    assert found == sorted(found, key=lambda box: (box[1], box[0]))
    assert len({(right - left, bottom - top) for left, top, right, bottom in found}) == 1
    tops = sorted({top for _, top, _, _ in found})
    across = columns if rows else max(sum(box[1] == top for box in found) for top in tops)
    assert across <= max(module.MAX_COLUMNS, columns if rows else 0)
    assert len(tops) == (rows or -(-columns // across))
    line = found[0][1] // 3
    for index, (left, top, right, _) in enumerate(found):
        if not rows or index < columns:
            assert has_ink(image, (left, top - line, right, top))
    for row, top in enumerate(tops if rows else []):
        left, _, _, bottom = found[row * columns]
        assert has_ink(image, (0, top, left, bottom))
    assert has_ink(image, (found[0][0], 0, image.width, line))


def test_each_label_is_its_own_value() -> None:
    """Two grids that differ in one value differ in the place of its label alone."""
    names: list[tuple[Value, ...]] = [SAMPLER_NAMES, ("er_sde", "heun", "dpmpp_2m_sde_gpu")]
    one, other = (composed(Comparison(columns=Axis(what=AxisKind.SAMPLER, values=values)))[0] for values in names)
    left, top, right, _ = boxes(one, 3)[1]
    changed = ImageChops.difference(one, other).getbbox()
    assert changed is not None
    assert left <= changed[0] and changed[2] <= right and changed[3] <= top


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (240, 160), (512, 512), (832, 1216), (1024, 1024)])
@pytest.mark.parametrize(("columns", "rows"), [(3, 0), (12, 0), (3, 4), (2, 8), (8, 2)])
def test_a_grid_is_no_larger_than_it_may_be_and_its_labels_can_be_read(
    size: tuple[int, int], columns: int, rows: int
) -> None:
    asked = comparison(columns, rows)
    layout = module._GridLayout.of(asked, *size)
    assert max(layout.size) <= MAX_SIDE_LENGTH
    assert layout.cell[0] >= min(size[0], module.MIN_CELL)
    assert abs(layout.cell[0] / layout.cell[1] - size[0] / size[1]) < 0.01
    shown = min(1.0, module.SHOWN_WIDTH / layout.size[0], module.SHOWN_HEIGHT / layout.size[1])
    assert layout.font.size * max(shown, 1 / 3) >= module.LEGIBLE / 4
    assert all(layout.font.getlength(label) <= layout.cell[0] for label in layout.columns)


def test_small_pictures_are_made_larger_pixel_by_pixel() -> None:
    picture = Image.effect_noise((64, 64), 90).convert("RGB")
    png = encode_png(picture, made((64, 64)))
    image = Image.open(io.BytesIO(grid(comparison(2), [png, png], "").png)).convert("RGB")
    layout = module._GridLayout.of(comparison(2), 64, 64)
    assert layout.cell == (256, 256)
    top = layout.size[1] - layout.gap - 256
    shown = image.crop((layout.left, top, layout.left + 256, top + 256))
    assert shown.resize((64, 64), Image.Resampling.NEAREST).tobytes() == picture.tobytes()


def test_a_file_too_large_for_discord_is_drawn_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FILE_SIZE == 10 * 1024 * 1024
    noise = Image.frombytes("L", (256, 256), bytes(byte & 3 for byte in random.Random(1).randbytes(256 * 256)))
    file = io.BytesIO()
    noise.save(file, "PNG", compress_level=9)
    pictures = [file.getvalue()] * 4
    whole = grid(comparison(2, 2), pictures, "")
    for limit in (len(whole.png) // 3, sum(map(len, pictures))):  # that of the second is not foreseen
        monkeypatch.setattr(module, "MAX_FILE_SIZE", limit)
        smaller = grid(comparison(2, 2), pictures, "")
        assert len(smaller.png) <= limit < len(whole.png)
        assert smaller.width < whole.width


def test_a_long_label_is_cut_where_its_cell_ends() -> None:
    font = module._font(20)
    assert module._shortened("er_sde", font, 200) == "er_sde"
    cut = module._shortened("weight of a very long thing", font, 100)
    assert cut.startswith("weight") and cut.endswith("…") and font.getlength(cut) <= 100
    image, _ = composed(Comparison(columns=Axis(what=AxisKind.SAMPLER, values=("W" * 90, "er_sde"))))
    first, second = boxes(image, 2)
    assert not has_ink(image, (first[2], first[1] - first[1] // 3, second[0], first[1]))


def test_characters_that_the_font_lacks_are_left_out() -> None:
    assert module._spelled("weight of “白い猫”, café") == "weight of “…”, cafe"


def test_a_grid_can_be_made_while_somebody_else_reads_another_language() -> None:
    with speaking("ja"):
        composed(comparison(2, 2))


def test_the_file_says_what_the_cells_have_in_common_and_what_is_varied() -> None:
    columns = Axis(what=AxisKind.SAMPLER, values=("er_sde", "heun"))
    rows = Axis(what=AxisKind.CFG, values=(1.0, 4.5))
    cells = [
        cell(0, (64, 64), sampler=sampler, cfg_scale=cfg_scale, extra=(("Clip skip", "1"),))
        for cfg_scale in (1.0, 4.5)
        for sampler in ("er_sde", "heun")
    ]
    png = grid(Comparison(columns=columns, rows=rows), cells, "typed").png
    found = read(png)
    assert found is not None
    assert found == Parameters(
        prompt="1girl",
        width=64,
        height=64,
        steps=4,
        scheduler="simple",
        seed=7,
        model="mini",
        software="Anima Bot",
        extra=(
            ("Clip skip", "1"),
            ("X Type", "sampler"),
            ("X Values", "er_sde, heun"),
            ("Y Type", "CFG"),
            ("Y Values", "1, 4.5"),
        ),
    )
    texts = Image.open(io.BytesIO(png)).text  # type: ignore[attr-defined]
    assert "prompt" not in texts and "workflow" not in texts, "no graph draws a grid"
    assert "Sampler:" not in texts["parameters"] and 'X Values: "er_sde, heun"' in texts["parameters"]


def test_prompts_that_differ_in_a_weight_are_shown_as_they_were_typed() -> None:
    cells = [cell(0, (64, 64), prompt=f"1girl, (hat:{weight})") for weight in (1, 2)]
    found = read(grid(comparison(2, what=AxisKind.WEIGHT), cells, "1girl, hat").png)
    assert found is not None and found.prompt == "1girl, hat"
    assert ("X Type", "weight of “hat”") in found.extra
