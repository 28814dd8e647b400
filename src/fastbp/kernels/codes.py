"""Names for integers: columns of the table of layers, cells of the small arrays that kernels share."""

# One row a layer of `layout.Plan.layers`.
LAYER_N_IN, LAYER_N_OUT, LAYER_WEIGHTS, LAYER_BIASES, LAYER_ACTIVATION, LAYER_SOURCE, LAYER_OUT, LAYER_DELTA_BELOW, LAYER_DELTA, LAYER_TRANSPOSED, LAYER_PACKS = range(11)
"""Neurons below and in the layer; offsets of W^l and b^l (-1 without biases) in the flat buffer; address of φ; offsets
in the panels of out^{l-1}, out^l, δ^{l-1}, δ^l, and of out^{l-1} with neurons in lanes (-1 where no gradient needs
it); 1 if its products pack their operand in a thread's scratch."""
LAYER_NET, LAYER_SECOND, LAYER_TANGENTS = range(11, 14)
"""For passes with tangents (`tangents`): the offset of the net inputs, which become φ''(net); address of φ'' or 0; for
how many directions the gradient sums over tangents, too: 0 elsewhere."""
LAYER_MODEL = 14
"""In the first row, which `embedded.Model` it belongs to: the same number as in CELL_MODEL and ENTRY_MODEL."""
LAYER_COLUMNS = 15

# Cells of `layout.Plan.cells`: single panels, the output stage, addresses of kernels.
CELL_TARGET, CELL_WEIGHT, CELL_COST, CELL_ONES, CELL_SCRATCH, CELL_SCRATCH_SIZE = range(6)
"""Offsets of the targets, the sample weights, the samples' costs, a row of ones, and the first thread's scratch; the
next thread's is CELL_SCRATCH_SIZE behind."""
CELL_COST_KERNEL, CELL_CANONICAL, CELL_JACOBIAN = range(6, 9)
"""Address of the cost; 1 if it starts from net inputs; address of the output's Jacobian product or 0."""
CELL_FORWARD, CELL_BACKWARD, CELL_TRANSPOSE, CELL_GRADIENT, CELL_GRADIENT_BY_LANES, CELL_GATHER, CELL_GATHER_LABELS = range(9, 16)
CELL_GATHER_WEIGHTS, CELL_COLLECT, CELL_SHUFFLE, CELL_SCATTER, CELL_MY_SAMPLES, CELL_MY_NEURONS = range(16, 22)
"""Addresses of the kernels in `backprop.KERNELS`."""
CELL_FORWARD_SLOPES, CELL_PUSHFORWARD, CELL_PULLBACK, CELL_ROWS, CELL_OUTER = range(22, 27)
"""Addresses of the kernels in `derivatives.KERNELS`."""
CELL_FORWARD_SECOND, CELL_PUSHFORWARD_TANGENTS, CELL_SECOND_ORDER, CELL_PULLBACK_TANGENTS, CELL_TRANSPOSE_ALL, CELL_WEIGH, CELL_SOFTMAX_SECOND, CELL_COST_SECOND = range(27, 35)
"""Addresses of the kernels in `tangents.KERNELS`; of ∂²C/∂o²."""
CELL_SPARE, CELL_SLOPE_TARGETS, CELL_DIRECTION, CELL_GIVEN_SLOPES, CELL_KIND = range(35, 40)
"""Offsets of a spare panel of the output layer and of the targets of ∂o/∂x; addresses of the user's direction in the
space of parameters and of his targets of ∂o/∂x; what a pass computes:"""
KIND_PLAIN, KIND_SOBOLEV, KIND_HESSIAN, KIND_GAUSS_NEWTON, KIND_DIAGONAL = range(5)
CELL_GATHER_INPUTS = 40
"""Address of the kernel that gathers inputs: that of CELL_GATHER, or of `dense.gather_sparse`."""
CELL_NOISE, CELL_END_EPOCH, CELL_TOTAL_WEIGHT = 41, 42, 43
"""Addresses of `noise.before_layer`, or 0, of `record.end_epoch`, and of `dense.total_weight` where samples have
weights."""
CELL_MODEL = 44
CELL_COUNT = 45

ROOT_SLOPE, ROOT_OF_SLOPE, ROOT_FISHER, ROOT_PRODUCT = range(4)
"""Kinds of `curvature.root`: element by element from φ' or its root; softmax with its partner, and with another cost.
"""

# Cells behind the parameter of a cost: λ of training on derivatives, and where a fit is regularised what it does to
# samples.
COST_SLOPE_WEIGHT, COST_INPUT_NOISE, COST_SMOOTH_SHARE, COST_SMOOTH_BASE, COST_DROPOUT = range(1, 6)
"""λ; standard deviation of noise of the inputs; 1 − ε and ε/n of label smoothing; probabilities to drop, from the first
hidden layer up."""

# Cells of `embedded.Model.calls`.
ENTRY_WORK_SIZE, ENTRY_BLOCK, ENTRY_FORWARD_ONE, ENTRY_FORWARD_MANY, ENTRY_GRADIENT_ONE, ENTRY_INPUT_ONE, ENTRY_VJP_ONE, ENTRY_TRAIN_ONE, ENTRY_GRADIENT_MANY = range(9)
ENTRY_FORWARD, ENTRY_BACKWARD, ENTRY_SLOPES_ONE, ENTRY_OUTPUT, ENTRY_DEPTH, ENTRY_SIZE = range(9, 15)
"""Numbers in a workspace, samples that it takes at once, addresses of the kernels in `embedded.KERNELS`; address of the
output's Jacobian product or 0, also for matched pairs, where CELL_JACOBIAN is 0; layers and parameters."""
ENTRY_MODEL = 15
ENTRY_COUNT = 16

RULE_ADDRESS = 2**56 - 1
"""The bits of `embedded.State.rule` that are an address; the four above them count the bytes of a number that the rule
is compiled for, those above these its slots of state."""
RULE_BYTES, RULE_SLOTS = 56, 60
"""Where these begin."""

# Cells of `layout.Learner.progress`.
PROGRESS_EPOCH, PROGRESS_POSITION, PROGRESS_STATUS, PROGRESS_FIRST_EPOCH, PROGRESS_UPDATES, PROGRESS_BLOCKS = range(6)
"""PROGRESS_FIRST_EPOCH is the one that ``costs[0]`` belongs to; PROGRESS_BLOCKS how many the last call took."""
STATUS_RUNNING, STATUS_DIVERGED, STATUS_PAUSED, STATUS_DONE = range(4)
"""The last two where `searches` takes steps: as many as it was asked for, and no lower cost is to be found."""

# Cells of `layout.Learner.sums`.
SUM_BATCH_COST, SUM_EPOCH_COST, SUM_EPOCH_WEIGHT, SUM_EPOCH_PENALTY = range(4)
"""The last one is the part of an epoch's mean cost that penalties make up."""

# Phases of a step that a profile tells apart: cells of a layer's row of `layout.Learner.clock`.
PHASE_GATHER, PHASE_FORWARD, PHASE_ACTIVATION, PHASE_COST, PHASE_BACKWARD, PHASE_GRADIENT, PHASE_UPDATE, PHASE_WAIT = range(8)
PHASE_COUNT = 8
"""Gather, forward products, activation, cost, backward products, gradient, update, waiting for other threads."""

# Cells of the barrier, each on a cache line of its own.
CACHE_LINE = 8
BARRIER_ARRIVED, BARRIER_ABANDONED, BARRIER_YIELD = 0, CACHE_LINE, 2 * CACHE_LINE
BARRIER_COUNT = 3 * CACHE_LINE

# Cells behind those of a plan where a fit is regularised.
CELL_PLAIN_NEURONS, CELL_MEASURE, CELL_KEY = range(CELL_COUNT, CELL_COUNT + 3)
"""Addresses of `backprop.my_neurons`, for which `epoch.my_neurons_clipped` stands, and of `regular.measure`; key of the
random numbers."""
CELL_PROGRESS = CELL_COUNT + 4
"""Where ``Learner.progress`` lies then, which holds the epoch."""
CELL_MIDWAY = CELL_COUNT + 12
"""A barrier between the halves of phase 2."""
CELL_COUNT_REGULAR = CELL_MIDWAY + BARRIER_COUNT

# Cells of an optimizer's numbers, see `updates`.
HYPER_RATE, HYPER_POWER1, HYPER_POWER2, HYPER_BASE1, HYPER_BASE2, HYPER_OWN = range(6)
HYPER_BEST, HYPER_WAITED = 10, 11
"""What a schedule that watches the cost remembers: the best one, and epochs since then, -1 before the first."""
HYPER_BATCH_WEIGHT = 9
"""Total weight of the batch that the update follows; the rule's own numbers end before it."""
HYPER_COUNT = 12

# Cells behind an optimizer's numbers where a fit is regularised, see `regular`: they end with a table of REGULAR_SEGMENTS rows
# and with the penalties of single neurons. Whole numbers are kept as bits: to convert them costs 25 ms of compilation.
REGULAR_RULE, REGULAR_TOTAL, REGULAR_AVERAGED, REGULAR_CLIP, REGULAR_CLIP_NORM, REGULAR_FIXED, REGULAR_SEGMENTS, REGULAR_PENALTIES, REGULAR_TABLE = range(HYPER_COUNT, HYPER_COUNT + 9)
"""Addresses of the rule and of `regular.total`; 1.0 if penalties are divided by the weight of the batch; the largest
|∂E/∂w| or 0, and norm of all of it; where in the state the values of fixed parameters lie, NaN for the others, or -1;
rows of the table; cell of the first penalty, as many cells behind the first square of the gradient; cell of the table.
"""
SEGMENT_BEGIN, SEGMENT_END, SEGMENT_ROW, SEGMENT_PIECE, SEGMENT_CELL, SEGMENT_L2, SEGMENT_L1, SEGMENT_DECAY, SEGMENT_LARGEST, SEGMENT_NON_NEGATIVE, SEGMENT_TRAINED = range(11)
"""Columns of the table, a row for each stretch of the flat buffer that something is done to: where it begins and ends;
numbers of a neuron; numbers, of a neuron or one, that share a cell, and the first of these cells; the factors of its
penalties and of decay; the largest norm of a neuron or 0; 1.0 if its numbers are kept from going below 0; 1.0 if they
are trained."""
SEGMENT_COLUMNS = 11

PROGRESS_COUNT, SUM_COUNT = 6, 4

# Arguments of the kernels behind an address, as letters (see `_jit.address`).
ACTIVATION_ARGUMENTS, COST_ARGUMENTS, RULE_ARGUMENTS = "ffi", "fffid", "fffiiid"
CURVATURE_ARGUMENTS, COST_CURVATURE_ARGUMENTS = "fff", "fffd"
TOTAL_ARGUMENTS = "dd"
SEARCH_ARGUMENTS = "ffdd"
