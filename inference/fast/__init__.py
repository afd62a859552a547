"""Fast mode: skips blocks in steps in which they would change little."""
