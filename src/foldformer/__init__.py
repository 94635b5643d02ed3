"""foldformer: speech Transformers whose layers share their weights in depth."""
