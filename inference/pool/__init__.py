"""Several diffusion models in one engine: decides which are on the device, in main memory, or only on disk."""
