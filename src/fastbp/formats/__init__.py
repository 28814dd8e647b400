"""Networks as other programs have them: C source, ONNX, plain NumPy, other libraries' files.

c
    C source.
numpy_source, numpy_functions
    A module of plain NumPy, and the functions that it holds copies of.
onnx
    ONNX, both ways.
pytorch, torch_pickle, keras, hdf5, archive
    PyTorch's and Keras' files, down to the pickles, HDF5 and zip archives that they are made of.
scikit_learn, fann, matlab
    scikit-learn's MLPs, FANN's text files, MATLAB's functions and structs.
chain, predictor, affine
    A network as formats describe it; with what an estimator has around it; scalings that are folded into its layers.
evaluation, methods
    Predictions in plain NumPy, with which others are compared; and what `Network` has of all this.
"""
