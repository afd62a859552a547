"""Parameters in PNG, JPEG, WebP and AVIF files."""

import io
import json
import re
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference.metadata import (
    Parameters,
    UnreadableImage,
    a1111,
    encode_png,
    encode_png_of_many,
    exif,
    exif_of,
    png_text,
    read,
)
from inference.metadata.files import MAX_TEXT_LENGTH, MAX_TEXTS
from tests.effort import bounded_effort
from tests.inference.metadata.examples import EXAMPLE, PARAMETERS, png, with_exif, with_user_comment

WEBUI = "1girl, 火 <lora:turbo:0.8>\nNegative prompt: bad\nSteps: 30, Sampler: Euler a, Seed: 7, Size: 64x32"
WEBUI_PARAMETERS = Parameters(
    prompt="1girl, 火",
    negative_prompt="bad",
    steps=30,
    sampler="euler_a",
    seed=7,
    width=64,
    height=32,
    loras=(("turbo", 0.8),),
)
PICTURE = Image.new("RGB", (8, 8))


@settings(deadline=None)  # the first graph with beta57 imports torch
@given(PARAMETERS)
def test_written_parameters_are_read_back_exactly(parameters: Parameters) -> None:
    assert read(encode_png(PICTURE, parameters)) == parameters


def test_the_picture_itself_is_kept() -> None:
    picture = Image.linear_gradient("L").convert("RGB")
    again = Image.open(io.BytesIO(encode_png(picture, EXAMPLE)))
    assert (again.mode, again.tobytes()) == ("RGB", picture.tobytes())


def test_a_picture_with_grain_takes_no_more_room_than_pillow_would_give_it() -> None:
    """What is quick to write must not be large: see the sizes in docs/benchmarks.md."""
    grain = np.random.default_rng(0).normal(0, 4, (256, 256, 3))
    shades = np.linspace(40, 200, 256)[:, None, None]
    picture = Image.fromarray((grain + shades).astype(np.uint8))
    usual = io.BytesIO()
    picture.save(usual, "PNG")
    texts = sum(map(len, png_text(EXAMPLE).values()))
    assert len(encode_png(picture, EXAMPLE)) - texts < 1.02 * len(usual.getvalue())


def test_a_path_the_bytes_and_an_opened_picture_read_the_same(tmp_path: Path) -> None:
    data = encode_png(PICTURE, EXAMPLE)
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    assert read(path) == read(str(path)) == read(data) == EXAMPLE
    with Image.open(path) as picture:
        assert read(picture) == EXAMPLE


@pytest.mark.parametrize("name", ["width", "height", "steps", "cfg_scale", "sampler", "scheduler", "seed", "model"])
def test_parameters_that_could_not_draw_the_picture_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"lack {name}"):
        png_text(replace(EXAMPLE, **{name: None}))


@pytest.mark.parametrize("field", ["cfg_scale", "denoise"])
def test_numbers_that_are_not_finite_are_refused(field: str) -> None:
    with pytest.raises(ValueError):
        encode_png(PICTURE, replace(EXAMPLE, **{field: float("nan")}))


@settings(deadline=None)
@given(PARAMETERS)
def test_a_picture_of_many_says_what_they_have_in_common_and_has_no_graph(parameters: Parameters) -> None:
    common = replace(parameters, sampler=None, seed=None, width=None, height=None)
    file = encode_png_of_many(Image.new("RGB", (20, 10)), common)
    assert read(file) == replace(common, width=20, height=10)
    assert set(Image.open(io.BytesIO(file)).info) == {"parameters", "anima"}


def test_our_own_key_wins_over_the_others() -> None:
    text = png_text(EXAMPLE)
    assert read(png(text | {"parameters": WEBUI})) == EXAMPLE
    del text["anima"]
    assert read(png(text | {"parameters": WEBUI})) == WEBUI_PARAMETERS


@pytest.mark.parametrize("how", [{}, {"zip": True}])
@pytest.mark.parametrize("text", [WEBUI, WEBUI.replace("火", "é")], ids=["iTXt", "tEXt"])
def test_text_is_read_from_every_kind_of_chunk(text: str, how: dict[str, bool]) -> None:
    parameters = read(png({"parameters": text}, **how))
    assert parameters == replace(WEBUI_PARAMETERS, prompt=text.split(" <")[0])


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "AVIF", "PNG"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + WEBUI.encode("utf-16-be"),
        b"UNICODE\0" + WEBUI.encode("utf-16-le"),
        b"UNICODE\0" + WEBUI.encode("utf-16"),
        b"ASCII\0\0\0" + WEBUI.encode(),
        b"\0" * 8 + WEBUI.encode(),
        b"UNICODE\0\xef\xbb\xbf" + WEBUI.encode(),
        b"JIS\0\0\0\0\0" + WEBUI.encode("shift_jis"),
        b"JIS\0\0\0\0\0" + WEBUI.encode("iso2022_jp"),
        b"JIS\0\0\0\0\0" + WEBUI.encode(),
        b"Unicode\0" + WEBUI.encode("utf-16-be"),
        b"UNICODE " + WEBUI.encode("utf-16-le"),
        b"UNICODE\0UNICODE\0" + WEBUI.encode("utf-16-be"),
        b"charset=Unicode " + WEBUI.encode(),
    ],
    ids=[
        *(
            "big endian",
            "little endian",
            "with byte order mark",
            "ascii",
            "undefined",
            "UTF-8's mark",
            "JIS",
            "ISO 2022",
        ),
        *("UTF-8 for JIS", "lower case", "a blank", "twice", "as exiv2 shows it"),
    ],
)
def test_text_is_read_from_the_user_comment(format_: str, comment: bytes) -> None:
    assert read(with_user_comment(format_, comment)) == WEBUI_PARAMETERS


@pytest.mark.parametrize("format_", ["WEBP", "AVIF"])
def test_comfyuis_graphs_are_read_from_tags(format_: str) -> None:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + png_text(EXAMPLE)["prompt"]
    exif[0x010F] = "workflow:" + png_text(EXAMPLE)["workflow"]
    parameters = read(with_exif(format_, exif))
    assert parameters is not None and parameters.prompt == EXAMPLE.prompt


@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_the_order_of_bytes_is_seen_in_a_comment_without_ascii(order: str) -> None:
    parameters = read(with_user_comment("JPEG", b"UNICODE\0" + ("少女、笑顔、" * 4).encode(order)))
    assert parameters is not None and parameters.prompt == "少女、笑顔、" * 4


@pytest.mark.parametrize("tags", [(0x010D, "prompt:"), (0x010F, "Prompt:"), (0x010E, "prompt:")])
def test_comfyuis_graphs_are_read_from_whichever_tag_holds_them(tags: tuple[int, str]) -> None:
    exif = Image.Exif()
    exif[tags[0]] = tags[1] + png_text(EXAMPLE)["prompt"]
    parameters = read(with_exif("WEBP", exif))
    assert parameters is not None and parameters.prompt == EXAMPLE.prompt


@pytest.mark.parametrize(("key", "how"), [("exif", {}), ("APP1", {"zip": True})])
def test_the_exif_block_that_imagemagick_keeps_as_text_is_read(key: str, how: dict[str, bool]) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + WEBUI.encode("utf-16-be")
    lines = re.findall(".{1,72}", exif.tobytes().hex())
    profile = "\n".join(["", "exif", f"{len(exif.tobytes()):8}", *lines, ""])
    assert read(png({f"Raw profile type {key}": profile}, **how)) == WEBUI_PARAMETERS
    assert read(png({f"Raw profile type {key}": profile[:-2] + "x"}, **how)) is None


def test_a_graph_may_be_an_object_within_another() -> None:
    graph = json.loads(png_text(EXAMPLE)["prompt"])
    for comment in ({"prompt": graph}, graph, {"prompt": json.dumps(graph)}):
        parameters = read(with_user_comment("WEBP", json.dumps(comment).encode()))
        assert parameters is not None and parameters.prompt == EXAMPLE.prompt
    parameters = read(png({"prompt": json.dumps({"prompt": graph, "client_id": "x"})}))
    assert parameters is not None and parameters.prompt == EXAMPLE.prompt


@pytest.mark.parametrize("key", ["Comment", "Description", "UserComment", "Parameters"])
def test_a_web_uis_text_is_read_under_other_keys(key: str) -> None:
    assert read(png({key: WEBUI})) == WEBUI_PARAMETERS
    assert read(png({key: "An image of a cat."})) is None
    assert read(png({key: '{"Steps": 1, "b": "c:d:e:f:g"}'})) is None


def test_a_prompt_may_be_written_in_json() -> None:
    prompt = '{"subject": "cat", "style": "ink"}'
    parameters = read(png({"parameters": f"{prompt}\nSteps: 30, Sampler: Euler a, Seed: 7"}))
    assert parameters is not None and (parameters.prompt, parameters.steps) == (prompt, 30)


def test_a_web_uis_text_is_read_from_a_jpegs_comment_and_description() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", comment=WEBUI.encode())
    assert read(file.getvalue()) == WEBUI_PARAMETERS
    exif = Image.Exif()
    exif[0x010E] = WEBUI.replace("火", "fire")
    parameters = read(with_exif("JPEG", exif))
    assert parameters is not None and parameters.seed == WEBUI_PARAMETERS.seed


def test_text_that_follows_the_pixels_is_read() -> None:
    data = png({"parameters": WEBUI})
    start = data.index(b"iTXt") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert read(moved) == WEBUI_PARAMETERS


def test_a_png_s_exif_does_not_hide_its_texts() -> None:
    exif = chunk(b"eXIf", Image.Exif().tobytes()[6:])
    other = Image.Exif()
    other.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"dog\nSteps: 1, Sampler: Euler, Seed: 1"
    text = chunk(b"iTXt", b"parameters\0\0\0\0\0" + WEBUI.encode())
    for with_comment in (exif, chunk(b"eXIf", other.tobytes()[6:])):
        assert read(png_with_chunks(with_comment, text)) == WEBUI_PARAMETERS
        assert read(png_with_chunks(text, with_comment)) == WEBUI_PARAMETERS


def test_another_programs_object_under_our_key_hides_nothing() -> None:
    assert read(png({"anima": '{"genre": "fantasy"}', "parameters": WEBUI})) == WEBUI_PARAMETERS


def test_the_size_is_the_pictures_own_where_the_text_does_not_say() -> None:
    parameters = read(png({"parameters": "1girl\nSteps: 30, Sampler: Euler a, Seed: 7"}, size=(24, 16)))
    assert parameters is not None and (parameters.width, parameters.height) == (24, 16)


def test_a_text_without_settings_is_a_prompt() -> None:
    parameters = read(png({"parameters": "1girl, smile\nNegative prompt: bad"}))
    assert parameters is not None and (parameters.prompt, parameters.negative_prompt) == ("1girl, smile", "bad")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_a_picture_that_says_nothing_gives_none(format_: str) -> None:
    file = io.BytesIO()
    PICTURE.save(file, format_)
    assert read(file.getvalue()) is None


@given(st.binary(max_size=200))
def test_bytes_that_are_not_an_image_are_refused_with_an_explanation(data: bytes) -> None:
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF\0\0\0\0WEBPVP8X", b"\0\0\0 ftypavif"):
        with pytest.raises(UnreadableImage, match=r"cannot be read as a PNG, JPEG, WebP or AVIF picture\.$"):
            read(prefix + data)


def test_a_gif_is_refused() -> None:
    file = io.BytesIO()
    PICTURE.save(file, "GIF")
    with pytest.raises(UnreadableImage):
        read(file.getvalue())


@given(st.data())
def test_a_damaged_file_is_read_as_far_as_it_goes_or_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([encode_png(PICTURE, EXAMPLE), *DAMAGEABLE]))
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=8)) if damaged else []:
        damaged[place] = data.draw(st.integers(0, 255))
    with suppress(UnreadableImage):
        assert isinstance(read(bytes(damaged)), Parameters | None)


DAMAGEABLE = [
    with_user_comment("JPEG", b"UNICODE\0" + WEBUI.encode("utf-16-be")),
    with_user_comment("WEBP", b"UNICODE\0" + WEBUI.encode("utf-16-be")),
    png({"parameters": WEBUI}, zip=True),
]

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(list(Parameters.__dataclass_fields__)), ANY_JSON))
def test_our_own_json_with_wrong_types_keeps_what_is_right(values: dict[str, object]) -> None:
    parameters = read(png({"anima": json.dumps({"prompt": "1girl", "steps": 30} | values)}))
    assert parameters is not None
    if "prompt" not in values:
        assert parameters.prompt == "1girl"
    if "steps" not in values:
        assert parameters.steps == 30
    hash(parameters)  # tuples all the way down


@pytest.mark.parametrize("key", ["anima", "parameters", "prompt", "workflow", "Comment"])
@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 100_000 + "}", '{"a": NaN}', "{", "[]", "null", "\0", "\ud800"],
    ids=lambda text: text[:8],
)
def test_broken_and_huge_json_does_no_harm(key: str, text: str) -> None:
    data = png({key: text.encode("utf-8", "replace").decode()})
    parameters = read(data)
    assert parameters is None or key in ("anima", "parameters")


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png_with_chunks(*chunks: bytes) -> bytes:
    data = png({})
    return data[:33] + b"".join(chunks) + data[33:]  # behind IHDR


@pytest.mark.parametrize(
    "bomb",
    [
        chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 100 * MAX_TEXT_LENGTH, 9)),
        chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(b"a" * 100 * MAX_TEXT_LENGTH, 9)),
        chunk(b"tEXt", b"parameters\0" + b"a" * MAX_TEXT_LENGTH),
        chunk(b"iTXt", b"parameters\0\0"),
        chunk(b"iTXt", b"parameters\0"),
        chunk(b"zTXt", b"parameters\0\0" + b"not deflated"),
        chunk(b"zTXt", b"parameters\0\7" + zlib.compress(b"a")),
        chunk(b"tEXt", b""),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 40),
    ],
    ids=["zTXt bomb", "iTXt bomb", "too long", "cut", "cut too", "garbage", "method", "empty", "exif"],
)
def test_one_bad_chunk_costs_only_itself(bomb: bytes) -> None:
    with bounded_effort(200):
        assert read(png_with_chunks(bomb)) is None
        good = chunk(b"iTXt", b"parameters\0\0\0\0\0" + WEBUI.encode())
        assert read(png_with_chunks(bomb, good)) == WEBUI_PARAMETERS


def test_only_so_many_texts_are_read() -> None:
    bombs = [chunk(b"zTXt", b"key\0\0" + zlib.compress(b"a" * 4 * MAX_TEXT_LENGTH, 9))] * 1_000
    good = chunk(b"iTXt", b"parameters\0\0\0\0\0" + WEBUI.encode())
    with bounded_effort(200):
        assert read(png_with_chunks(*bombs, good)) is None
    assert read(png_with_chunks(*bombs[: MAX_TEXTS - 1], good)) == WEBUI_PARAMETERS


def test_pixels_are_never_decoded() -> None:
    data = encode_png(PICTURE, EXAMPLE)
    start = data.index(b"IDAT")
    assert read(data[:start] + b"IDAT" + b"\xff" * (len(data) - start - 4)) == EXAMPLE
    header = data[16:24]
    enormous = data.replace(header, b"\x7f\xff\xff\xff" * 2, 1)
    assert read(enormous) == EXAMPLE


def test_a_missing_file_is_the_operating_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.png")


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "AVIF"])
def test_a_copy_in_another_format_has_the_same_parameters(kind: str) -> None:
    png = encode_png(Image.new("RGB", (64, 64)), EXAMPLE)
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(file, kind, exif=exif_of(png))
    found, by_a1111 = read(file.getvalue()), a1111.read(png_text(EXAMPLE)["parameters"])
    assert found == by_a1111
    tags = Image.open(io.BytesIO(file.getvalue())).getexif()
    assert json.loads(tags[0x0110].removeprefix("prompt:")) == json.loads(png_text(EXAMPLE)["prompt"])
    assert json.loads(tags[0x010F].removeprefix("workflow:")) == json.loads(png_text(EXAMPLE)["workflow"])


def test_a_graph_too_long_for_a_jpeg_is_left_out() -> None:
    long = replace(EXAMPLE, prompt="hat, " * 5500)
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG", exif=exif(long))
    found = read(file.getvalue())
    assert found is not None and found.prompt.strip() == long.prompt.strip() and found.seed == long.seed
    assert 0x0110 not in Image.open(io.BytesIO(file.getvalue())).getexif()


def test_a_file_that_says_nothing_has_no_exif() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG")
    assert exif_of(file.getvalue()) == b""


def test_a_comment_in_latin_1_is_read() -> None:
    found = read(with_user_comment("JPEG", b"ASCII\0\0\0" + WEBUI.replace("火", "é").encode("latin-1")))
    assert found == replace(WEBUI_PARAMETERS, prompt="1girl, é")


def test_a_comment_of_windows_is_read() -> None:
    exif = Image.Exif()
    exif[0x9C9C] = WEBUI.encode("utf-16-le")
    assert read(with_exif("JPEG", exif)) == WEBUI_PARAMETERS


@pytest.mark.parametrize("chunk", [b"tEXtparameters\0", b"iTXtparameters\0\0\0\0\0"])
@pytest.mark.parametrize(("text", "encoding"), [(WEBUI, "utf-16"), (WEBUI.replace("火", "é"), "latin-1")])
def test_a_chunk_in_another_encoding_than_it_should_have_is_read(chunk: bytes, text: str, encoding: str) -> None:
    whole = png({})
    data = chunk + text.encode(encoding)
    added = (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    assert read(whole[:-12] + added + whole[-12:]) == replace(WEBUI_PARAMETERS, prompt=text.split(" <")[0])


@pytest.mark.parametrize("mark", [b"", b"prompt:", b"Prompt: "])
def test_a_graph_in_a_comment_is_read_and_no_prompt(mark: bytes) -> None:
    graph = mark + png_text(EXAMPLE)["prompt"].encode()
    found = read(with_user_comment("JPEG", b"ASCII\0\0\0" + graph))
    assert found is not None and found.prompt == EXAMPLE.prompt
    file = io.BytesIO()
    PICTURE.save(file, "JPEG", comment=png_text(EXAMPLE)["prompt"])
    found = read(file.getvalue())
    assert found is not None and found.prompt == EXAMPLE.prompt
