"""Graphs of ONNX: constants and tracing, recurrent operators, readouts and embeddings."""
