"""Reads the command that InvokeAI before version 3 stores as `Dream`.

    "a cat [bad]" -s 50 -S 12345 -W 512 -H 768 -C 7.5 -A k_lms

The negative prompt is in square brackets inside the prompt.
"""

import re
from collections.abc import Mapping

from inference.metadata.names import our_sampler
from inference.metadata.parameters import Parameters, as_integer, as_number, left_out_extra

#: InvokeAI's names that differ from other programs' names.
SAMPLERS = {
    "kdpm_2": "dpm_2",
    "kdpm_2_a": "dpm_2_ancestral",
    "unipc": "uni_pc",
}
_COMMAND = re.compile(r'\s*"((?:\\.|[^"\\])*+)"(.*)', re.DOTALL)
_SWITCH = re.compile(r"\s(--?[A-Za-z_]\w*)((?:[ =](?!-[A-Za-z])[^\s]+)*)")
_BRACKETED = re.compile(r"\[([^\[\]]*)\]")
_MAX_LENGTH = 1 << 16
#: Switches that changed the image but have no parameter here.
_LEFT_OUT = ("-G", "-U", "-V", "-v", "--hires_fix", "--seamless", "--perlin", "--threshold", "--embiggen", "-ft")


def read(text: Mapping[str, str]) -> Parameters | None:
    """Reads the text `Dream`; None if it is not such a command."""
    command = _COMMAND.fullmatch(text.get("Dream", "")[:_MAX_LENGTH])
    if command is None:
        return None
    switches = {match[1]: match[2].strip(" =") for match in _SWITCH.finditer(f" {command[2]}")}
    prompt, negative_prompt = prompts(re.sub(r"\\(.)", r"\1", command[1]))
    strength = as_number(switches.get("-f"))
    from_image = "-I" in switches or "--init_img" in switches
    sampler = switches.get("-A", "").removeprefix("k_")
    named = (f"{name} {value}".strip() for name, value in switches.items() if name in _LEFT_OUT)
    return Parameters(
        prompt=prompt,
        negative_prompt=negative_prompt,
        width=as_integer(switches.get("-W")),
        height=as_integer(switches.get("-H")),
        steps=as_integer(switches.get("-s")),
        cfg_scale=as_number(switches.get("-C")),
        sampler=our_sampler(SAMPLERS.get(sampler, sampler)) if sampler else None,
        seed=as_integer(switches.get("-S")),
        denoise=strength if from_image and strength is not None and 0 < strength < 1 else 1.0,
        software="InvokeAI",
        extra=left_out_extra(named),
    )


def prompts(whole: str) -> tuple[str, str]:
    """The prompt, and the negative prompt from its square brackets."""
    return _BRACKETED.sub("", whole).strip(), ", ".join(_BRACKETED.findall(whole))
