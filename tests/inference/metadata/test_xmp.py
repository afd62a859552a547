"""XMP packets are read wherever a file has them, and broken ones cost no time."""

import html
import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference.metadata import read
from tests.effort import bounded_effort
from tests.inference.metadata.test_other_programs import SETTINGS, png, read_texts

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>
<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/">{}</rdf:Description></rdf:RDF></x:xmpmeta>"""
DRAW_THINGS = (
    '{"c": "cat & \\"dog\\"", "uc": "bad", "scale": 4, "sampler": "Euler Ancestral", "seed": 7, "size": "832x1216"}'
)


def in_xmp(text: str, form: str) -> str:
    escaped = html.escape(text)
    return XMP.format(
        {
            "alternatives": "<exif:UserComment><rdf:Alt>"
            f'<rdf:li xml:lang="x-default">{escaped}</rdf:li><rdf:li xml:lang="de">x</rdf:li>'
            "</rdf:Alt></exif:UserComment>",
            "element": f"<exif:UserComment>{escaped}</exif:UserComment>",
            "attribute": f'</rdf:Description><rdf:Description exif:UserComment="{escaped}">',
            "description": f"<dc:description><rdf:Alt><rdf:li>{escaped}</rdf:li></rdf:Alt></dc:description>",
        }[form]
    )


@pytest.mark.parametrize("form", ["alternatives", "element", "attribute", "description"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_xmp_packet_is_read_from_every_kind_of_file(kind: str, form: str) -> None:
    for text, prompt in ((DRAW_THINGS, 'cat & "dog"'), (f"cat & <dog>\n{SETTINGS}", "cat & <dog>")):
        packet, file = in_xmp(text, form), io.BytesIO()
        if kind == "PNG":
            texts = PngInfo()
            texts.add_itxt("XML:com.adobe.xmp", packet)
            Image.new("RGB", (8, 8)).save(file, kind, pnginfo=texts)
        else:
            Image.new("RGB", (8, 8)).save(file, kind, xmp=packet.encode())
        for found in (read(file.getvalue()), read(Image.open(file))):
            assert found is not None
            assert (found.prompt, found.width) == (prompt, 832)


@pytest.mark.parametrize("packet", ["<exif:UserComment>" * 50_000, 'exif:UserComment="' * 50_000, "<rdf:li" * 100_000])
def test_a_broken_xmp_packet_says_nothing_at_once(packet: str) -> None:
    with bounded_effort(200):
        assert read(png(**{"XML:com.adobe.xmp": packet})) is None


def test_other_metadata_hides_no_xmp_and_xmp_hides_no_chunk() -> None:
    packet = in_xmp(DRAW_THINGS, "element")
    assert read_texts(**{"XML:com.adobe.xmp": packet, "Software": "Draw Things"}).software == "Draw Things"
    assert read_texts(**{"XML:com.adobe.xmp": packet, "parameters": f"dog\n{SETTINGS}"}).prompt == "dog"
