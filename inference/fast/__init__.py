"""Fast mode: blocks that are left out of steps in which they would change little."""
