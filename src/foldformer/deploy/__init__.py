"""Models on the device. Nothing here imports torch, but for `export`, which makes the folders."""
