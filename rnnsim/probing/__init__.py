"""Models of PyTorch looked at while they run: inputs, states and the gradients that arrive."""
