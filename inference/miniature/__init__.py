"""The miniature: a tiny trained model with Anima's architecture, and the code that trains it.

The bot needs only `models/`. The modules are the stages that make it, in this order: `data`, `tokenizers`,
`autoencoder`, `joint`, `distill`, `classifier`, `export`, `evaluate`; `python -m inference.miniature --help` runs them.
"""
