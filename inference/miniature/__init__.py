"""The miniature: a tiny trained model with Anima's architecture, and the code that trains it.

`models/` is all that the bot needs. The modules are the stages of making it, in this order: `data`, `tokenizers`,
`autoencoder`, `joint`, `distill`, `classifier`, `export`, `evaluate`; `python -m inference.miniature --help` runs them.
"""
