"""Names for integers: columns of the table of layers, cells of the small arrays that kernels share."""

# One row a layer of `layout.Plan.layers`.
N_IN, N_OUT, WEIGHTS, BIASES, ACTIVATION, SOURCE, OUT, DELTA_BELOW, DELTA, ACROSS, PACKS = range(11)
"""Neurons below and in the layer; offsets of W^l and b^l (-1 without biases) in the flat buffer; address of φ; offsets
in the panels of out^{l-1}, out^l, δ^{l-1}, δ^l, and of out^{l-1} with neurons in lanes (-1 where no gradient needs
it); 1 if its products pack their operand in a thread's scratch."""
COLUMNS = 11

# Cells of `layout.Plan.cells`: single panels, the output stage, addresses of kernels.
TARGET, WEIGHT, COST, ONES, SCRATCH, SCRATCH_SIZE = range(6)
"""Offsets of the targets, the sample weights, the samples' costs, a row of ones, and the first thread's scratch; the
next thread's is SCRATCH_SIZE behind."""
COST_KERNEL, MATCHED, JACOBIAN = range(6, 9)
"""Address of the cost; 1 if it starts from net inputs; address of the output's Jacobian product or 0."""
FORWARD, BACKWARD, TURN, GRADIENT, BY_LANES, GATHER, LABELS = range(9, 16)
WEIGH, COLLECT, SHUFFLE, SCATTER, MY_SAMPLES, MY_NEURONS = range(16, 22)
"""Addresses of the kernels in `backprop.KERNELS`."""
SLOPES, PUSH, PULL, ROWS, OUTER = range(22, 27)
"""Addresses of the kernels in `derivatives.KERNELS`."""
CELLS = 27

SLOPE, ROOT, FISHER, PRODUCT = range(4)
"""Kinds of `curvature.root`: element by element from φ' or its root; softmax with its partner, and with another cost.
"""

# Cells of `embedded.Model.calls`.
WORK_SIZE, BLOCK, FORWARD_ONE, FORWARD_MANY, GRADIENT_ONE, INPUT_ONE, VJP_ONE, TRAIN_ONE, MANY = range(9)
THROUGH, BELOW, SLOPES_ONE, OUTPUT = range(9, 13)
"""Numbers in a workspace, samples that it takes at once, addresses of the kernels in `embedded.KERNELS`; address of the
output's Jacobian product or 0, also for matched pairs, where JACOBIAN is 0."""
CALLS = 13

# Cells of `layout.Learner.progress`.
EPOCH, POSITION, STATUS, FIRST_EPOCH, UPDATES, BLOCKS = range(6)
"""FIRST_EPOCH is the one that ``costs[0]`` belongs to; BLOCKS how many the last call took."""
RUNNING, DIVERGED = range(2)

# Cells of `layout.Learner.sums`.
BATCH_COST, EPOCH_COST, EPOCH_WEIGHT = range(3)

# Phases of a step that a profile tells apart: cells of a layer's row of `layout.Learner.clock`.
GATHERING, FORWARDING, ACTIVATING, COSTING, GOING_BACK, SUMMING, UPDATING, WAITING = range(8)
PHASES = 8
"""Gather, forward products, activation, cost, backward products, gradient, update, waiting for other threads."""

# Cells of the barrier, each on a cache line of its own.
ARRIVED, ABANDONED, YIELD = 0, 8, 16
BARRIER_CELLS = 24

# Cells of an optimizer's numbers, see `updates`.
RATE, POWER1, POWER2, BASE1, BASE2, OWN = range(6)
BEST, WAITED = 10, 11
"""What a schedule that watches the cost remembers: the best one, and epochs since then, -1 before the first."""
HYPER_CELLS = 12
PROGRESS_CELLS, SUM_CELLS = 6, 3

# Arguments of the kernels behind an address, as letters (see `_jit.address`).
ACTIVATION_ARGUMENTS, COST_ARGUMENTS, RULE_ARGUMENTS = "ffi", "fffid", "fffiiid"
