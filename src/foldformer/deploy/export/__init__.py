"""From a model to a folder that a runtime loads; needs PyTorch and ONNX, as no device does."""
