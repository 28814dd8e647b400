"""A prediction as C source.

write
    The two files.
statements, encoders
    What is done for a prediction, step by step, and the functions of it that go over arrays.
functions
    Functions of one number: activations, and exp, tanh, sin and their like where math.h is not used.
selftest
    Rows by which the source tests itself.
text
    Numbers, arrays and strings as C writes them.
"""
