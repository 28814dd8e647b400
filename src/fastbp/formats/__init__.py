"""Networks as other programs have them: C source, ONNX, plain NumPy, other libraries' files.

onnx
    ONNX, both ways.
chain, methods
    A network as formats describe it; what `Network` has of all this.
"""
