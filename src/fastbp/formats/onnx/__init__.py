"""ONNX: networks as graphs of operators, for runtimes in any language; written and read without the onnx package.

protobuf, messages
    The wire format, and the messages of ONNX in it.
builder, functions, encoding, writer
    A graph that is being written; activations, encoders and whole networks as operators.
operators, recognition, values, constants, reader
    What operators compute; which activation it is; what is known of a name; the layers of a graph.
"""
