"""A search with scikit-learn's tools
==================================

A search over the settings of fastbp's classifier, then what the network looks at.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split

import fastbp


def main():
    """Search with 5 folds, judge on samples that were kept back, and list the features that matter most."""
    data = load_breast_cancer()
    X, X_test, y, y_test = train_test_split(data.data, data.target, stratify=data.target, random_state=0)

    mlp = fastbp.MLPClassifier(standardize=True, solver=fastbp.RAdam(0.005), batch_size=32, tol=1e-3, random_state=0)
    grid = {"hidden_layer_sizes": [(8,), (32,), (16, 16)], "activation": ["tanh", "gelu"], "alpha": [0.01, 1.0]}
    start = time.perf_counter()
    search = GridSearchCV(mlp, grid, cv=5).fit(X, y)
    print(f"60 fits in {time.perf_counter() - start:.1f} s, first compilation included; best: {search.best_params_}")
    print(f"test accuracy: {search.score(X_test, y_test):.3f}")

    best = search.best_estimator_
    slopes = best.input_gradient(X_test)[:, 1] * X.std(axis=0)  # of P(benign), for a change of one standard deviation
    order = np.abs(slopes).mean(axis=0).argsort()[::-1]
    for k in order[:3]:
        print(f"{data.feature_names[k]}: mean |∂P/∂x| {np.abs(slopes[:, k]).mean():.3f}")
    print(best.network_)

    _, ax = plt.subplots(layout="constrained")
    ax.barh(data.feature_names[order[9::-1]], np.abs(slopes).mean(axis=0)[order[9::-1]])
    ax.set(xlabel="mean |∂P/∂x|, for a change of one standard deviation", title="What the classifier looks at")
    plt.show()


if __name__ == "__main__":
    main()
