"""`python -m inference.miniature STAGE`: trains the miniature model, one command per stage."""

from inference.miniature.commands import main

main()
