"""What keeps a GPU from waiting; on the CPU it would gain nothing."""
