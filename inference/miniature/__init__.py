"""Anima in miniature: a tiny trained model of the same architecture, and how it was made.

`models/` is all that the bot needs. The modules are the stages of making it, in this order: `data`, `tokenizers`,
`autoencoder`, `joint`, `distill`, `classifier`, `export`, `evaluate`; `python -m inference.miniature --help` runs them.
"""
