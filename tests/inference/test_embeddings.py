"""`embedding:name` in a prompt is no text: it takes no part, and that is said."""

from dataclasses import replace

import torch

from inference import Engine, GenerationRequest
from inference.metadata import a1111
from inference.metadata.files import png_text


def test_embeddings_are_left_out_and_named_to_the_user_and_in_the_file(engine: Engine) -> None:
    request = GenerationRequest("1girl, embedding:good, smile", "(embedding:bad:1.2)", width=64, height=64, steps=2)
    tokens = engine.text_encoder.tokenizer(request.prompt)
    separately = [engine.text_encoder.tokenizer(piece) for piece in ("1girl, ", ", smile")]
    assert tokens.qwen_ids == sum((piece.qwen_ids for piece in separately), ())
    assert tokens.t5_ids == (*separately[0].t5_ids[:-1], *separately[1].t5_ids)
    assert engine.text_encoder.tokenizer(request.negative_prompt) == engine.text_encoder.tokenizer("")
    [drawn] = engine.generate([request])
    [without] = engine.generate([replace(request, negative_prompt="")])
    assert torch.equal(drawn.latent, without.latent)
    assert drawn.notes == ("There are no embeddings for Anima, so this is left out: embedding:good, embedding:bad.",)
    assert drawn.parameters.extra == (("Left out", "embedding:good"), ("Left out", "embedding:bad"))
    web_ui = a1111.read(png_text(drawn.parameters)["parameters"])
    assert web_ui is not None and dict(web_ui.extra)["Left out"] == "embedding:good, embedding:bad"
