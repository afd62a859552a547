"""What safetensors files say of themselves in their headers, read without PyTorch."""
