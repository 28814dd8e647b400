"""Make the ONNX files that other libraries have written, for the tests of `fastbp.from_onnx`.

    python tests/formats/make_onnx_files.py torch        # with torch and onnxscript
    python tests/formats/make_onnx_files.py sklearn      # with scikit-learn and skl2onnx
    python tests/formats/make_onnx_files.py keras        # with tensorflow and tf2onnx
    python tests/formats/make_onnx_files.py expected     # with onnxruntime: what it computes of all of them

Made with torch 2.13.0 and onnxscript 0.7.2, scikit-learn 1.9.1 and skl2onnx 1.20.0, tensorflow-cpu 2.21.0, Keras 3.15.1
and tf2onnx 1.17.0, onnxruntime 1.32.0.
"""

import os
import sys
from pathlib import Path

import numpy as np

FILES = Path(__file__).parent / "files"
EXPECTED = FILES / "onnx_expected.npz"


def inputs():
    """Return the rows that the files are asked for."""
    return np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


def torch_files():
    """Both exporters of torch.onnx, of the same networks: every activation that has a module, and the decorations."""
    import torch
    from torch import nn

    class Square(nn.Module):
        """A gaussian written out, behind a view."""

        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 1)

        def forward(self, x):
            x = self.first(x.view(x.size(0), -1))
            return self.second(torch.exp(-(x**2))).squeeze(-1)

    networks = {
        "classifier": nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 6), nn.SiLU(),
                                    nn.Linear(6, 3), nn.Softmax(dim=-1)),
        "decorated": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8),
                                   nn.Mish(), nn.Linear(8, 6), nn.PReLU(6), nn.BatchNorm1d(6), nn.Linear(6, 3),
                                   nn.Hardsigmoid()),
        "smooth": nn.Sequential(nn.Linear(4, 5), nn.ELU(), nn.Linear(5, 5), nn.SELU(), nn.Linear(5, 5), nn.Softplus(),
                                nn.Linear(5, 5), nn.Softsign(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 1),
                                nn.Sigmoid()),
        "kinks": nn.Sequential(nn.Linear(4, 5), nn.Hardtanh(), nn.Linear(5, 5), nn.LeakyReLU(), nn.Linear(5, 5),
                               nn.LeakyReLU(0.2), nn.Linear(5, 5), nn.ReLU6(), nn.Linear(5, 2)),
        "square": Square(),
    }
    torch.manual_seed(0)
    for name, network in networks.items():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.data.normal_(1, 0.1)
                module.bias.data.normal_()
        network.eval()
        x = torch.tensor(inputs())
        common = {"input_names": ["x"], "output_names": ["y"]}
        torch.onnx.export(network, (x,), FILES / f"torch_{name}_script.onnx", dynamo=False, opset_version=13,
                          dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, **common)
        torch.onnx.export(network, (x,), FILES / f"torch_{name}_dynamo.onnx", dynamo=True, external_data=False,
                          dynamic_shapes=({0: "n"},), verbose=False, **common)


def sklearn_files():
    """What skl2onnx makes of scikit-learn's own networks: each kind of targets."""
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    settings = {"hidden_layer_sizes": (5,), "max_iter": 60, "random_state": 0}
    letters = np.array(list("abc"))[np.arange(60) % 3]
    plain, scaler = {"zipmap": False}, StandardScaler()
    models = {
        "binary": (MLPClassifier(**settings).fit(X, X[:, 0] > 0), X, None),
        "letters": (make_pipeline(scaler, MLPClassifier(activation="tanh", **settings)).fit(X, letters), X, plain),
        "labels": (MLPClassifier(activation="logistic", **settings).fit(X, X[:, :2] > 0), X, plain),
        "regression": (MLPRegressor(activation="identity", **settings).fit(X, X[:, :2]), X, None),
        "double": (MLPRegressor(**settings).fit(X, X[:, 0]), X.astype(np.float64), None),
    }
    for name, (model, like, options) in models.items():
        made = to_onnx(model, like[:1], options=options)
        (FILES / f"skl2onnx_{name}.onnx").write_bytes(made.SerializeToString())


def keras_files():
    """What tf2onnx makes of Keras' models. It has no operator for Keras' gelu (Erfc)."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    dense = {"bias_initializer": "random_normal"}
    models = {
        "classifier": [layers.Dense(8, "silu", **dense), layers.BatchNormalization(), layers.Dropout(0.5),
                       layers.Dense(5, "leaky_relu", **dense), layers.Dense(5, "hard_sigmoid", **dense),
                       layers.Dense(3, "softmax", **dense)],
        "smooth": [layers.Dense(5, name, **dense) for name in ("elu", "selu", "softplus", "softsign", "mish",
                                                               "exponential", "relu6")]
        + [layers.Dense(1, "sigmoid", **dense)],
    }
    for name, parts in models.items():
        model = keras.Sequential([layers.Input((4,)), *parts])
        model(inputs())
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                generator = np.random.default_rng(2)
                layer.set_weights([generator.uniform(0.5, 2, value.shape) for value in layer.get_weights()])
        model.export(FILES / f"tf2onnx_{name}.onnx", format="onnx", verbose=False)


def expected():
    """What onnxruntime computes: the output that is the network's."""
    import onnxruntime

    found = {"X": inputs()}
    for path in sorted(FILES.glob("*.onnx")):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        first, *_ = session.get_inputs()
        X = inputs().astype(np.float64 if first.type == "tensor(double)" else np.float32)
        values = session.run(None, {first.name: X})[-1]
        if isinstance(values, list):  # ZipMap: of each sample a map of classes to probabilities
            values = np.array([list(row.values()) for row in values])
        found[path.stem] = values
    np.savez_compressed(EXPECTED, **found)


if __name__ == "__main__":
    {"torch": torch_files, "sklearn": sklearn_files, "keras": keras_files, "expected": expected}[sys.argv[1]]()
