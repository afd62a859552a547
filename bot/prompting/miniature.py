"""Prompts for the bundled miniature model. It was trained on drawings of heads and knows nothing else."""

#: Prompts that show what it can draw, each with a different artist.
EXAMPLES = (
    "@micah, red hair, blue background",
    "@adventurer, long hair, pink hair, smile, green background",
    "@toon-head, black hair, glasses, yellow background",
    "@pixel-art, blonde hair, sunglasses, purple background",
)
