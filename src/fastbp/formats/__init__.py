"""Networks as other programs have them: C source, ONNX, plain NumPy, other libraries' files."""
