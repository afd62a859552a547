"""Reads captions with a label before each value, as Mochi Diffusion writes them.

    Include in Image: a cat; Exclude from Image: blurry; Model: anima; Size: 512x512; Seed: 7; Steps: 20

Newer versions escape semicolons, colons and backslashes in values with a backslash; the newest put each value on its
own line.
"""

import re

#: The key of a file's caption among its texts.
CAPTION = "Caption"
_LABEL = re.compile(r"(?:^|; |\n)([A-Z][A-Za-z ]{1,40}): ")
_ESCAPED = re.compile(r"\\([\\;:])")
_LABELS = (
    *("Include in Image", "Exclude from Image", "Model", "Steps", "Guidance Scale", "Seed", "Size", "Upscaler"),
    *("Scheduler", "ML Compute Unit", "Generator", "Date", "Starting Image", "Metadata Version"),
)
_MAX_LENGTH = 1 << 16


def labelled(text: str) -> dict[str, object]:
    """The values, by label."""
    text = text[:_MAX_LENGTH]
    labels = [match for match in _LABEL.finditer(text) if match[1] in _LABELS]
    ends = [*(match.start() for match in labels), len(text)][1:]
    return {
        match[1]: _ESCAPED.sub(r"\1", text[match.end() : end]).strip() for match, end in zip(labels, ends, strict=False)
    }
