"""Names for integers: columns of the table of layers, cells of the small arrays that kernels share."""

# One row a layer of `layout.Plan.layers`.
N_IN, N_OUT, WEIGHTS, BIASES, ACTIVATION, SOURCE, OUT, DELTA_BELOW, DELTA, ACROSS, PACKS = range(11)
"""Neurons below and in the layer; offsets of W^l and b^l (-1 without biases) in the flat buffer; address of φ; offsets
in the panels of out^{l-1}, out^l, δ^{l-1}, δ^l, and of out^{l-1} with neurons in lanes (-1 where no gradient needs
it); 1 if its products pack their operand in a thread's scratch."""
NET, CURVATURE, TANGENTS = range(11, 14)
"""For passes with tangents (`tangents`): the offset of the net inputs, which become φ''(net); address of φ'' or 0; for
how many directions the gradient sums over tangents, too: 0 elsewhere."""
ROW_MODEL = 14
"""In the first row, which `embedded.Model` it belongs to: the same number as in CELL_MODEL and CALL_MODEL."""
COLUMNS = 15

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
LIFT, PUSH_TANGENTS, BEND, PULL_TANGENTS, TURN_ALL, SHARE, SOFTMAX_CURVATURE, COST_CURVATURE = range(27, 35)
"""Addresses of the kernels in `tangents.KERNELS`; of ∂²C/∂o²."""
SPARE, SLOPE_TARGETS, DIRECTION, SLOPES_GIVEN, KIND = range(35, 40)
"""Offsets of a spare panel of the output layer and of the targets of ∂o/∂x; addresses of the user's direction in the
space of parameters and of his targets of ∂o/∂x; what a pass computes:"""
PLAIN, SOBOLEV, HESSIAN, GAUSS_NEWTON, DIAGONAL = range(5)
INPUTS = 40
"""Address of the kernel that gathers inputs: that of GATHER, or of `dense.gather_sparse`."""
NOISE, END_EPOCH, TOTAL_WEIGHT = 41, 42, 43
"""Addresses of `noise.before_layer`, or 0, of `record.end_epoch`, and of `dense.total_weight` where samples have
weights."""
CELL_MODEL = 44
CELLS = 45

SLOPE, ROOT, FISHER, PRODUCT = range(4)
"""Kinds of `curvature.root`: element by element from φ' or its root; softmax with its partner, and with another cost.
"""

# Cells behind the parameter of a cost: λ of training on derivatives, and where a fit is regularised what it does to
# samples.
SLOPE_WEIGHT, INPUT_NOISE, SMOOTH_SHARE, SMOOTH_BASE, DROPOUT = range(1, 6)
"""λ; standard deviation of noise of the inputs; 1 − ε and ε/n of label smoothing; probabilities to drop, from the first
hidden layer up."""

# Cells of `embedded.Model.calls`.
WORK_SIZE, BLOCK, FORWARD_ONE, FORWARD_MANY, GRADIENT_ONE, INPUT_ONE, VJP_ONE, TRAIN_ONE, MANY = range(9)
THROUGH, BELOW, SLOPES_ONE, OUTPUT, DEPTH, SIZE = range(9, 15)
"""Numbers in a workspace, samples that it takes at once, addresses of the kernels in `embedded.KERNELS`; address of the
output's Jacobian product or 0, also for matched pairs, where JACOBIAN is 0; layers and parameters."""
CALL_MODEL = 15
CALLS = 16

RULE_ADDRESS = 2**56 - 1
"""The bits of `embedded.State.rule` that are an address; the four above them count the bytes of a number that the rule
is compiled for, those above these its slots of state."""
RULE_BYTES, RULE_SLOTS = 56, 60
"""Where these begin."""

# Cells of `layout.Learner.progress`.
EPOCH, POSITION, STATUS, FIRST_EPOCH, UPDATES, BLOCKS = range(6)
"""FIRST_EPOCH is the one that ``costs[0]`` belongs to; BLOCKS how many the last call took."""
RUNNING, DIVERGED, PAUSED, DONE = range(4)
"""The last two where `searches` takes steps: as many as it was asked for, and no lower cost is to be found."""

# Cells of `layout.Learner.sums`.
BATCH_COST, EPOCH_COST, EPOCH_WEIGHT, EPOCH_PENALTY = range(4)
"""The last one is the part of an epoch's mean cost that penalties make up."""

# Phases of a step that a profile tells apart: cells of a layer's row of `layout.Learner.clock`.
GATHERING, FORWARDING, ACTIVATING, COSTING, GOING_BACK, SUMMING, UPDATING, WAITING = range(8)
PHASES = 8
"""Gather, forward products, activation, cost, backward products, gradient, update, waiting for other threads."""

# Cells of the barrier, each on a cache line of its own.
CACHE_LINE = 8
ARRIVED, ABANDONED, YIELD = 0, CACHE_LINE, 2 * CACHE_LINE
BARRIER_CELLS = 3 * CACHE_LINE

# Cells behind those of a plan where a fit is regularised.
PLAIN_NEURONS, MEASURE, KEY = range(CELLS, CELLS + 3)
"""Addresses of `backprop.my_neurons`, for which `epoch.my_neurons_clipped` stands, and of `regular.measure`; key of the
random numbers."""
PROGRESS = CELLS + 4
"""Where ``Learner.progress`` lies then, which holds the epoch."""
MIDWAY = CELLS + 12
"""A barrier between the halves of phase 2."""
REGULAR_CELLS = MIDWAY + BARRIER_CELLS

# Cells of an optimizer's numbers, see `updates`.
RATE, POWER1, POWER2, BASE1, BASE2, OWN = range(6)
BEST, WAITED = 10, 11
"""What a schedule that watches the cost remembers: the best one, and epochs since then, -1 before the first."""
BATCH_WEIGHT = 9
"""Total weight of the batch that the update follows; the rule's own numbers end before it."""
HYPER_CELLS = 12

# Cells behind an optimizer's numbers where a fit is regularised, see `regular`: they end with a table of SEGMENTS rows
# and with the penalties of single neurons. Whole numbers are kept as bits: to convert them costs 25 ms of compilation.
RULE, TOTAL, AVERAGED, CLIP, CLIP_NORM, FIXED, SEGMENTS, PENALTIES, TABLE = range(HYPER_CELLS, HYPER_CELLS + 9)
"""Addresses of the rule and of `regular.total`; 1.0 if penalties are divided by the weight of the batch; the largest
|∂E/∂w| or 0, and norm of all of it; where in the state the values of fixed parameters lie, NaN for the others, or -1;
rows of the table; cell of the first penalty, as many cells behind the first square of the gradient; cell of the table.
"""
BEGIN, END, ROW, PIECE, CELL, L2, L1, DECAY, LARGEST, NON_NEGATIVE, TRAINED = range(11)
"""Columns of the table, a row for each stretch of the flat buffer that something is done to: where it begins and ends;
numbers of a neuron; numbers, of a neuron or one, that share a cell, and the first of these cells; the factors of its
penalties and of decay; the largest norm of a neuron or 0; 1.0 if its numbers are kept from going below 0; 1.0 if they
are trained."""
SEGMENT_COLUMNS = 11

PROGRESS_CELLS, SUM_CELLS = 6, 4

# Arguments of the kernels behind an address, as letters (see `_jit.address`).
ACTIVATION_ARGUMENTS, COST_ARGUMENTS, RULE_ARGUMENTS = "ffi", "fffid", "fffiiid"
CURVATURE_ARGUMENTS, COST_CURVATURE_ARGUMENTS = "fff", "fffd"
TOTAL_ARGUMENTS = "dd"
SEARCH_ARGUMENTS = "ffdd"
