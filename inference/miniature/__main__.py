"""`python -m inference.miniature STAGE`: makes the miniature Anima, one command a stage."""

from inference.miniature.commands import main

main()
