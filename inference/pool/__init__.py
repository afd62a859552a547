"""Several diffusion models in one engine: which of them are on the device, in main memory, or only in their files."""
