"""One step of backpropagation, number by number
=============================================


A network with two inputs, two hidden neurons and one output is shown a single pair (x, y) = ((0, 1), 1). Each quantity
is computed twice: by fastbp, read with ``Network.trace``, and here by plain arithmetic on Python floats. The numbers
(1) to (7) are those of the equations in docs/explanation/theory.md.
"""

import math

import matplotlib.pyplot as plt

import fastbp

LEARNING_RATE = 0.5
differences = []


def show(number, name, formula, plain, compiled):
    """Print a quantity with its arithmetic, and remember how far the two computations are apart."""
    differences.append(abs(plain - float(compiled)))
    print(f"  ({number}) {name:<7} = {formula:<60} = {plain:+.6f}   fastbp {float(compiled):+.6f}")


def products(left, right):
    """Write a sum of products."""
    return " + ".join(f"{a:.4f}·{b:.4f}" for a, b in zip(left, right, strict=True))


def main():
    """Forward, cost, backward, gradient, update; then the same pair once more."""
    network = fastbp.Network((2, 2, 1), activation="logistic", output="logistic", dtype="float64", seed=3)
    network.biases[0][:], network.biases[1][:] = [0.1, -0.2], 0.3
    x, y = [0.0, 1.0], 1.0
    trace = network.trace([x], [[y]])
    fastbp.plots.NetworkDisplay.from_network(network, x, [y])
    w = [None] + [weights.tolist() for weights in network.weights]  # w[l][j][k], lists count from 0, names from 1
    b = [None] + [biases.tolist() for biases in network.biases]
    print(f"{network!r}\nx = {x}, y = {y}; o_k is x_k in layer 1, and the output of neuron k of layer 1 in layer 2")

    o, slope, delta = [x, [], []], [None, [], []], [None, [], []]
    for layer in (1, 2):
        print(f"\nLayer {layer}, forward")
        for j, row in enumerate(w[layer]):
            net = sum(w_jk * o_k for w_jk, o_k in zip(row, o[layer - 1], strict=True)) + b[layer][j]
            out = 1 / (1 + math.exp(-net))
            show(1, f"net_{j + 1}", f"Σ w_{j + 1}k o_k + b_{j + 1} = {products(row, o[layer - 1])} + {b[layer][j]:.4f}",
                 net, trace.net[layer - 1][0, j])
            show(2, f"o_{j + 1}", f"φ(net_{j + 1}) = 1/(1 + exp({-net:.4f}))", out, trace.out[layer - 1][0, j])
            o[layer].append(out)
            slope[layer].append(out * (1 - out))

    error = o[2][0] - y
    print("\nCost")
    show(3, "E", f"½(o_1 − y)² = ½({o[2][0]:.4f} − {y:.4f})²", 0.5 * error**2, network.cost([x], [[y]]))

    print("\nLayer 2, back")
    delta[2].append(error * slope[2][0])
    show(4, "δ_1", f"(o_1 − y) φ'(net_1) = {error:.4f}·{slope[2][0]:.4f}", delta[2][0], trace.delta[1][0, 0])
    print("\nLayer 1, back")
    for k in range(2):
        delta[1].append(slope[1][k] * w[2][0][k] * delta[2][0])
        terms = products([w[2][0][k]], delta[2])
        show(5, f"δ_{k + 1}", f"φ'(net_{k + 1}) Σ w_l{k + 1} δ_l = {slope[1][k]:.4f}·({terms})", delta[1][k],
             trace.delta[0][0, k])

    network.fit([x], [[y]], epochs=1, batch_size=1, optimizer=fastbp.SGD(LEARNING_RATE))
    for layer in (1, 2):
        print(f"\nLayer {layer}, gradient and update with μ = {LEARNING_RATE}")
        slopes, weights, biases = trace.gradient[layer - 1], network.weights[layer - 1], network.biases[layer - 1]
        for j, d in enumerate(delta[layer]):
            for k, o_k in enumerate(o[layer - 1]):
                name = f"{j + 1}{k + 1}"
                show(6, f"dw_{name}", f"∂E/∂w_{name} = δ_{j + 1} o_{k + 1} = {d:.4f}·{o_k:.4f}", d * o_k,
                     slopes.weights[j, k])
                show(7, f"w_{name}", f"w_{name} − μ dw_{name} = {w[layer][j][k]:.4f} − {LEARNING_RATE}·{d * o_k:.4f}",
                     w[layer][j][k] - LEARNING_RATE * d * o_k, weights[j, k])
            name = f"{j + 1}"
            show(6, f"db_{name}", f"∂E/∂b_{name} = δ_{name}", d, slopes.biases[j])
            show(7, f"b_{name}", f"b_{name} − μ db_{name} = {b[layer][j]:.4f} − {LEARNING_RATE}·{d:.4f}",
                 b[layer][j] - LEARNING_RATE * d, biases[j])

    print("\nThe same pair after the step")
    print(f"  o_1 {o[2][0]:.6f} -> {network.predict(x)[0]:.6f}")
    print(f"  E   {0.5 * error**2:.6f} -> {network.cost([x], [[y]]):.6f}")
    print(f"\nlargest difference between plain arithmetic and fastbp: {max(differences):.1e}")
    plt.show()


if __name__ == "__main__":
    main()
