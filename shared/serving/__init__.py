"""What the predictor and the score job run: numpy and onnxruntime, never a training library."""
