"""GGUF files: metadata, tensors in llama.cpp's block formats, Hugging Face's names for them."""
