"""Networks as other programs have them: C source, ONNX, plain NumPy, other libraries' files.

onnx
    ONNX, both ways.
pytorch, torch_pickle, keras, hdf5, archive
    PyTorch's and Keras' files, down to the pickles, HDF5 and zip archives that they are made of.
scikit_learn, fann, matlab
    scikit-learn's MLPs, FANN's text files, MATLAB's functions and structs.
chain, affine, methods
    A network as formats describe it; scalings that are folded into its layers; what `Network` has of all this.
"""
