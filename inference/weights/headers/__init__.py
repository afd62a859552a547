"""Facts from the headers of safetensors files, read without PyTorch."""
