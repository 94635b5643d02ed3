"""The networks, in pure PyTorch: no files, no data, no training."""
