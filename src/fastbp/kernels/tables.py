"""The tables of numbers that Python and the kernels share: what each cell is called, and what it means.

A kernel reads ``cells[CELL_FORWARD]``: an integer that is part of its code. Python may read the same memory by name,
``CELL.view(cells)["forward"]``. A table is declared once, and no cell has two meanings.
"""

from __future__ import annotations

import numpy as np

from .table import Table

CACHE_LINE = 8  # numbers of 64 bits

MOST_BLOCKS = 64
"""Blocks in a round of a team at most, see `passes.rounds`."""

LAYER = Table({
    "n_in": "neurons below",
    "n_out": "neurons of the layer",
    "weights": "offset of W^l in the flat buffer",
    "biases": "offset of b^l in the flat buffer, -1 without biases",
    "activation": "address of φ",
    "source": "offset in the panels of out^{l-1}; -1 where `sparse` or `own_weights` sees to the first layer",
    "out": "offset in the panels of out^l",
    "delta_below": "offset in the panels of the layer below's ``cotangent``",
    "delta": "offset in the panels of φ'(net), which becomes δ^l",
    "cotangent": "offset in the panels of what ∂E/∂o^l multiplies: δ^l; with α a panel of ones",
    "transposed": "offset in the panels of out^{l-1} with neurons in lanes, -1 where no gradient needs it",
    "packs": "1 if its products pack their operand in a thread's scratch",
    "net": "with tangents: offset in the panels of the net inputs, which become φ''(net); -1",
    "second": "with tangents: address of φ'', or 0",
    "tangents": "for how many directions the gradient sums over tangents, too; else 0",
    "model": "in the first row: which `jit.Model` it belongs to, the number in CELL_MODEL and ENTRY_MODEL",
    "alphas": "offset of α^l in the flat buffer, -1 where the activation is not parametric",
    "change": "with α: offset in the panels of φ(net) − net, which becomes ∂E/∂α of each sample",
    "parametric": "address of `parametric.activate` where there are α, or 0",
    "parametric_backward": "address of `parametric.backward` where there are α, or 0",
    "parametric_gradient": "address of `parametric.gradient` where there are α, or 0",
    "tile": "the number of its first tile of neurons, which are dealt to threads (`shares.first_neuron`)",
})
"""A row for each layer of weights: `layout.Plan.layers`."""
(LAYER_N_IN, LAYER_N_OUT, LAYER_WEIGHTS, LAYER_BIASES, LAYER_ACTIVATION, LAYER_SOURCE, LAYER_OUT, LAYER_DELTA_BELOW,
 LAYER_DELTA, LAYER_COTANGENT, LAYER_TRANSPOSED, LAYER_PACKS, LAYER_NET, LAYER_SECOND, LAYER_TANGENTS, LAYER_MODEL,
 LAYER_ALPHAS, LAYER_CHANGE, LAYER_PARAMETRIC, LAYER_PARAMETRIC_BACKWARD, LAYER_PARAMETRIC_GRADIENT, LAYER_TILE) = LAYER
LAYER_COLUMNS = LAYER.count

PROGRESS = Table({
    "epoch": "epochs that are done",
    "position": "samples of the present epoch that are done",
    "status": "one of STATUS_RUNNING …",
    "first_epoch": "the one that ``costs[0]`` belongs to",
    "updates": "updates of the parameters since the fit began",
    "blocks": "blocks that the last call took",
})
"""Where a pass stands: `layout.Learner.progress`."""
(PROGRESS_EPOCH, PROGRESS_POSITION, PROGRESS_STATUS, PROGRESS_FIRST_EPOCH, PROGRESS_UPDATES, PROGRESS_BLOCKS) = PROGRESS
PROGRESS_COUNT = PROGRESS.count

STATUS_RUNNING, STATUS_DIVERGED, STATUS_PAUSED, STATUS_DONE = range(4)
"""The last two where `line_search` takes steps: as many as it was asked for, and no lower cost is to be found."""

BARRIER = Table({
    "arrived": "threads that have arrived",
    "abandoned": "1 if a thread has given up",
    "yield": "address of the system's function that lets another thread run",
    "taken": "blocks that threads have asked for, in all rounds",
    "stand": "address of `barrier.stand`",
}, widths=dict.fromkeys(("arrived", "abandoned", "yield", "taken", "stand"), CACHE_LINE))
"""Where the threads of a team meet; each cell is on a line of the cache of its own."""
BARRIER_ARRIVED, BARRIER_ABANDONED, BARRIER_YIELD, BARRIER_TAKEN, BARRIER_STAND = BARRIER
BARRIER_COUNT = BARRIER.count

CELL = Table({
    "target": "offset in the panels of the targets",
    "n_targets": "how many targets a sample has: as many as outputs, but where two outputs describe one",
    "target_columns": "numbers of a sample in the array of targets: its targets, and what the cost reads beside them",
    "weight": "offset of the sample weights",
    "cost": "offset of the samples' costs",
    "scratch": "offset of the first thread's scratch",
    "scratch_size": "how far behind the next thread's is",
    "cost_kernel": "address of the cost",
    "canonical": "1 if the cost starts from net inputs: output and cost are a canonical link",
    "jacobian": "address of `softmax.softmax_backward`, the Jacobian product of such an output, or 0",
    "forward": "address of `dense.forward`, or of `bfloat16.forward`",
    "forward_some": "address of `dense.forward_some` where phase 1 is `own_weights.my_samples`",
    "backward": "address of `dense.backward`, `dense.backward_packed`, or `bfloat16.backward`",
    "transpose": "address of `dense.transpose_panel`, or of `bfloat16.transpose_panel`",
    "gradient": "address of `dense.gradient`, or of `bfloat16.gradient`",
    "gradient_by_lanes": "address of `dense.gradient_by_lanes`",
    "gradient_on": "address of `dense.gradient_on` where phase 2 is `relay.my_neurons`",
    "bias_gradient": "address of `dense.bias_gradient`",
    "gather": "address of `gather.gather`",
    "gather_labels": "address of `gather.gather_labels`",
    "gather_weights": "address of `gather.gather_weights`",
    "collect": "address of `costs.collect`",
    "shuffle": "address of `random.shuffle`, `random.shuffle_picked` or `random.next_order`",
    "scatter": "address of `gather.scatter`",
    "my_samples": "address of phase 1: `backprop.my_samples`, `encoded.my_samples`, `sparse.my_samples`, "
                  "`own_weights.my_samples`, or one of `second.PHASES`",
    "my_neurons": "address of phase 2: `backprop.my_neurons`, or what stands around it: "
                  "`backprop.my_neurons_parametric`, `encoded.my_neurons`, `sparse.my_neurons`, "
                  "`epoch.my_neurons_clipped`, `relay.my_neurons`",
    "weights_neurons": "with α: address of `backprop.my_neurons`, which `backprop.my_neurons_parametric` calls",
    "forward_slopes": "address of `shared.forward_slopes`",
    "pushforward": "address of `shared.pushforward`",
    "pullback": "address of `shared.pullback`",
    "rows": "address of `shared.panel_rows`",
    "outer": "address of `shared.outer_products`",
    "forward_second": "address of `second.forward_second`",
    "pushforward_tangents": "address of `shared.pushforward_tangents`",
    "second_order": "address of `second.second_order`",
    "pullback_tangents": "address of `second.pullback`",
    "transpose_all": "address of `second.transpose_all`",
    "weigh": "address of `shared.weigh`",
    "softmax_second": "address of `softmax.softmax_second`, or 0",
    "cost_second": "address of ∂²C/∂o²",
    "fisher": "address of what stands in for ∂²C/∂o² in a Gauss–Newton matrix, Fisher's information, or 0",
    "spare": "offset of a spare panel: of the output layer, or for the costs of one network of a stack",
    "jacobian_targets": "offset of the targets of ∂o/∂x",
    "jacobian_columns": "numbers of a sample there: one for each ∂o_j/∂x_i, or two, with a weight of its own",
    "direction": "address of the user's direction in the space of parameters",
    "given_jacobian": "address of the user's targets of ∂o/∂x",
    "kind": "what a pass computes, one of KIND_PLAIN …",
    "root": "the root of the cost's second derivative, for the Gauss–Newton matrix: one of ROOT_SLOPE …",
    "gather_inputs": "address of what gathers inputs: `gather.gather`, `gather.gather_transposed`, "
                     "`gather.gather_sparse`, `bfloat16.gather`, or `encoded.gathered`",
    "gather_targets": "address of the kernel that gathers targets: `gather.gather`, or `gather.gather_columns`",
    "noise": "address of `noise.before_layer`, or 0",
    "end_epoch": "address of `record.end_epoch`, or of `line_search.next_point` or `more_thuente.next_iterate`",
    "total_weight": "address of `gather.total_weight` where samples have weights, or of `gather.count`",
    "plain_neurons": "clipping the norm, `relay.my_neurons`: address of what phase 2 would be without, which it calls",
    "measure": "clipping the norm: address of `penalties.measure`",
    "key": "key of the random numbers of noise",
    "progress": "regularised: address of `layout.Learner.progress`, since noise depends on the epoch",
    "midway": "a barrier: clipping, in the middle of phase 2; `own_weights`, behind the first layer; `relay`, to yield",
    "follow": "address of `scheduled.follow` where numbers follow schedules, or 0",
    "scheduled": "address of its table, a row of SCHEDULED for each of these numbers",
    "n_scheduled": "rows of this table",
    "model": "which `jit.Model` it belongs to",
    "encoding": "numbers behind the cells: ENCODING and what follows it; 0 without encoders",
    "encode": "address of `encoded.encode` where there are encoders, or 0",
    "gradients": "address of `encoded.gradients` where there are encoders, or 0",
    "updates": "address of `encoded.updates` where there are encoders, or 0",
    "slopes": "address of `encoded.slopes` where there are encoders, or 0",
    "dense_gather": "`own_weights.my_samples`: address of what gathers inputs, which it calls",
    "own_source": "there: offset of the panel of inputs of the first thread",
    "own_apart": "there: how far behind it, and behind its transposed copy, those of the second are; else 0",
    "dense_samples": "encoders, non-zeros, `own_weights`: address of `backprop.my_samples`, which ``my_samples`` calls",
    "dense_neurons": "encoders, products of non-zeros: address of what phase 2 would be without, which their own calls",
    "dense_predict": "the same: address of `predict.predict`, which their own ``predict_many`` calls",
    "sparse_ranges": "address of `sparse.find_rows` where products are of non-zeros, or 0",
    "sparse_forward": "address of `sparse.forward` where products are of non-zeros, or 0",
    "sparse_gradient": "address of `sparse.gradient` where products are of non-zeros, or 0",
    "sparse_room": "products of non-zeros: samples for which there are tables behind the cells, see `layer.sparse`",
    "structure": "products of non-zeros: address of `layout.Data.structure`, which phase 2 is not given",
    "structure_size": "products of non-zeros: numbers there",
    "round": "address of `rounds.take_round` where a team shares several blocks, or 0",
    "most_blocks": "blocks in a round at most, whose gradients lie behind the panels of all threads",
    "apart": "how far behind a thread's panels the next one's are, in a round",
    "share": "address of `rounds.share`, which a team calls",
    "add_up": "address of `rounds.add_up`",
    "handed": "`relay.my_neurons`: offset in the panels of the sums that are handed on, laid out like the parameters",
    "parts_handed": "there: parts of the sums that the first thread has handed on, in all steps",
    "parts_ready": "there: one more than had been in the steps before, once the second is done with its samples",
    "parts_taken": "there: parts that the second has gone on with",
}, widths={"midway": BARRIER.count}
   | dict.fromkeys(("handed", "parts_handed", "parts_ready", "parts_taken"), CACHE_LINE))
"""Single panels, the output stage, addresses of kernels: `layout.Plan.cells`."""
(CELL_TARGET, CELL_N_TARGETS, CELL_TARGET_COLUMNS, CELL_WEIGHT, CELL_COST, CELL_SCRATCH, CELL_SCRATCH_SIZE,
 CELL_COST_KERNEL, CELL_CANONICAL, CELL_JACOBIAN, CELL_FORWARD, CELL_FORWARD_SOME, CELL_BACKWARD, CELL_TRANSPOSE,
 CELL_GRADIENT, CELL_GRADIENT_BY_LANES, CELL_GRADIENT_ON, CELL_BIAS_GRADIENT, CELL_GATHER, CELL_GATHER_LABELS,
 CELL_GATHER_WEIGHTS, CELL_COLLECT, CELL_SHUFFLE, CELL_SCATTER, CELL_MY_SAMPLES, CELL_MY_NEURONS, CELL_WEIGHTS_NEURONS,
 CELL_FORWARD_SLOPES, CELL_PUSHFORWARD, CELL_PULLBACK, CELL_ROWS, CELL_OUTER, CELL_FORWARD_SECOND,
 CELL_PUSHFORWARD_TANGENTS, CELL_SECOND_ORDER, CELL_PULLBACK_TANGENTS, CELL_TRANSPOSE_ALL, CELL_WEIGH,
 CELL_SOFTMAX_SECOND, CELL_COST_SECOND, CELL_FISHER, CELL_SPARE, CELL_JACOBIAN_TARGETS, CELL_JACOBIAN_COLUMNS,
 CELL_DIRECTION, CELL_GIVEN_JACOBIAN, CELL_KIND, CELL_ROOT, CELL_GATHER_INPUTS, CELL_GATHER_TARGETS, CELL_NOISE,
 CELL_END_EPOCH, CELL_TOTAL_WEIGHT, CELL_PLAIN_NEURONS, CELL_MEASURE, CELL_KEY, CELL_PROGRESS, CELL_MIDWAY,
 CELL_FOLLOW, CELL_SCHEDULED, CELL_N_SCHEDULED, CELL_MODEL, CELL_ENCODING, CELL_ENCODE, CELL_GRADIENTS, CELL_UPDATES,
 CELL_SLOPES, CELL_DENSE_GATHER, CELL_OWN_SOURCE, CELL_OWN_APART, CELL_DENSE_SAMPLES, CELL_DENSE_NEURONS,
 CELL_DENSE_PREDICT, CELL_SPARSE_RANGES, CELL_SPARSE_FORWARD, CELL_SPARSE_GRADIENT, CELL_SPARSE_ROOM, CELL_STRUCTURE,
 CELL_STRUCTURE_SIZE, CELL_ROUND, CELL_MOST_BLOCKS, CELL_APART, CELL_SHARE, CELL_ADD_UP, CELL_HANDED,
 CELL_PARTS_HANDED, CELL_PARTS_READY, CELL_PARTS_TAKEN) = CELL
CELL_COUNT = CELL.count

SCHEDULED = Table({
    "number": "address of the number: an optimizer's, or behind these, or a setting of samples behind a cost's",
    "values": "address of its values, one for each update that begins in a call",
})
"""A number that follows a schedule, in the table at CELL_SCHEDULED."""
SCHEDULED_NUMBER, SCHEDULED_VALUES = SCHEDULED
SCHEDULED_COLUMNS = SCHEDULED.count

ENCODING = Table({
    "size": "numbers here, in the rows of ENCODER that follow, and in the lists behind them",
    "rows": "encoders, the scaling layer among them",
    "n_in": "columns of X, n_0",
    "width": "encoded numbers, which the first layer reads",
    "raw": "offset in the panels of the columns of X",
    "encoded": "offset in the panels of the encoded numbers, before the scaling layer",
    "source": "offset in the panels of what the first layer reads; that of the encoded numbers where nothing is scaled",
    "delta": "offset in the panels of the encoded numbers' δ, -1 where nobody asks for it",
    "slopes": "offset in the panels of derivatives by the columns of X, -1 where nobody asks for them",
    "scaling": "offset of the scaling layer's factors in the flat buffer, -1 without",
})
"""What comes before the first layer: behind CELL in `layout.Plan.cells`, and behind ENTRY in `jit.Model.calls`."""
(ENCODING_SIZE, ENCODING_ROWS, ENCODING_N_IN, ENCODING_WIDTH, ENCODING_RAW, ENCODING_ENCODED, ENCODING_SOURCE,
 ENCODING_DELTA, ENCODING_SLOPES, ENCODING_SCALING) = ENCODING
ENCODING_COUNT = ENCODING.count

ENCODER = Table({
    "encode": "address of the kernel that overwrites its encoded numbers, or 0",
    "gradient": "address of the kernel that sums the gradient of its parameters, or 0",
    "slope": "address of the kernel that adds its part of derivatives by the columns, or 0",
    "first": "its first encoded number",
    "columns": "how many columns it reads",
    "list": "where, from the beginning of ENCODING, its columns stand, with the edges of each as bits of doubles",
    "count": "categories, or frequencies",
    "size": "numbers of a category, or of a column",
    "parameters": "offset of its parameters in the flat buffer",
    "units": "how many parts of these threads may share",
    "unit": "numbers in such a part",
    "kept": "offset in the panels of what it keeps of each sample for its gradient, -1 for none",
})
"""A row for each encoder, behind ENCODING."""
(ENCODER_ENCODE, ENCODER_GRADIENT, ENCODER_SLOPE, ENCODER_FIRST, ENCODER_COLUMNS, ENCODER_LIST, ENCODER_COUNT,
 ENCODER_SIZE, ENCODER_PARAMETERS, ENCODER_UNITS, ENCODER_UNIT, ENCODER_KEPT) = ENCODER
ENCODER_NUMBERS = ENCODER.count

KIND_PLAIN, KIND_SOBOLEV, KIND_HESSIAN, KIND_GAUSS_NEWTON, KIND_DIAGONAL = range(5)
"""What a pass computes."""

ROOT_SLOPE, ROOT_OF_SLOPE, ROOT_FISHER, ROOT_PRODUCT = range(4)
"""What `gauss_newton.root` computes: element by element from φ' or its root; for softmax with its partner, or not."""

COST = Table({
    "parameter": "the number of a cost that has one (huber, quantile, gaussian_nll)",
    "jacobian_weight": "λ of training on derivatives; below 0 where these are given a cotangent instead of a target",
    "inner": "address of the cost of which `costs.by_output` weighs single outputs",
    "n_weighted": "how many such weights a sample has",
    "input_noise": "standard deviation of the noise of inputs",
    "smooth_share": "1 − ε of label smoothing",
    "smooth_base": "ε/n of label smoothing",
    "dropout": "probability to drop an output of the first hidden layer; those of the others stand behind it",
}, np.float64, others={"inner": np.int64, "n_weighted": np.int64})
"""Settings of the cost, and of what a regularised fit does to samples: `layout.Plan.cost_parameter`."""
(COST_PARAMETER, COST_JACOBIAN_WEIGHT, COST_INNER, COST_N_WEIGHTED, COST_INPUT_NOISE, COST_SMOOTH_SHARE,
 COST_SMOOTH_BASE, COST_DROPOUT) = COST

ENTRY = Table({
    "work_size": "numbers in a workspace",
    "block": "samples that a workspace takes at once",
    "forward_one": "address of `embedded.forward_one`",
    "forward_many": "address of `predict.predict`, or `encoded.predict_many`",
    "gradient_one": "address of `embedded.gradient_one`",
    "input_one": "address of `embedded.input_one`, or `embedded.input_one_encoded`",
    "vjp_one": "address of `embedded.vjp_one`, or `embedded.vjp_one_encoded`",
    "train_one": "address of `embedded.train_one`",
    "gradient_many": "address of `embedded.many`, or `embedded_slopes.refuse` where ``parameter_vjp`` has one",
    "forward": "address of `embedded.forward`, or `embedded.forward_encoded`",
    "backward": "address of `embedded.backward`",
    "backpropagate": "address of `embedded.backpropagate`, or `embedded.backpropagate_encoded`",
    "output": "address of the output's Jacobian product or 0, also for canonical links, where CELL_JACOBIAN is 0",
    "depth": "layers of weights",
    "size": "parameters",
    "model": "which `jit.Model` it belongs to",
    "n_in": "inputs, n_0",
    "encoding": "numbers behind these: ENCODING and what follows it; 0 without encoders",
    "encode": "address of `encoded.encode` where there are encoders, or 0",
    "gradients": "address of `encoded.gradients` where there are encoders, or 0",
    "slopes": "address of `encoded.slopes` where there are encoders, or 0",
    "dense_forward": "encoders: address of `embedded.forward`, which ``forward`` calls",
    "dense_backpropagate": "encoders: address of `embedded.backpropagate`, which ``backpropagate`` calls",
    "parameter_vjp": "address of `embedded_slopes.parameter_vjp` in a model for these, or 0",
    "many": "address of `embedded.many`, which that calls",
})
"""The network inside a user's compiled code: `jit.Model.calls`."""
(ENTRY_WORK_SIZE, ENTRY_BLOCK, ENTRY_FORWARD_ONE, ENTRY_FORWARD_MANY, ENTRY_GRADIENT_ONE, ENTRY_INPUT_ONE,
 ENTRY_VJP_ONE, ENTRY_TRAIN_ONE, ENTRY_GRADIENT_MANY, ENTRY_FORWARD, ENTRY_BACKWARD, ENTRY_BACKPROPAGATE, ENTRY_OUTPUT,
 ENTRY_DEPTH, ENTRY_SIZE, ENTRY_MODEL, ENTRY_N_IN, ENTRY_ENCODING, ENTRY_ENCODE, ENTRY_GRADIENTS, ENTRY_SLOPES,
 ENTRY_DENSE_FORWARD, ENTRY_DENSE_BACKPROPAGATE, ENTRY_PARAMETER_VJP, ENTRY_MANY) = ENTRY
ENTRY_COUNT = ENTRY.count

SLOT = Table({
    "forward_one": "address of `embedded.forward_one`",
    "layers": "address of the network's LAYER",
    "calls": "address of its ENTRY",
    "parameters": "address of its parameters",
    "n_in": "its inputs, n_0",
})
"""What a C function reads: where its network lies, see `embedded.c_forward`."""
SLOT_FORWARD_ONE, SLOT_LAYERS, SLOT_CALLS, SLOT_PARAMETERS, SLOT_N_IN = SLOT
SLOT_COUNT = SLOT.count

ENSEMBLE = Table({
    "forward": "address of `embedded.forward_members`",
    "members": "networks",
    "n_in": "their inputs, n_0",
    "n_out": "their outputs, n_L",
    "targets": "numbers that they predict: n_L, or n_L/2 where a log variance stands behind each",
    "work_size": "numbers in a workspace",
    "outputs": "offset in a workspace of the members' outputs",
    "layers": "rows of LAYER",
    "calls": "rows of ENTRY",
    "size": "numbers that the parameters take",
    "model": "which `jit.EnsembleModel` it belongs to, the number in LAYER_MODEL, ENTRY_MODEL and MEMBER_MODEL",
})
"""An ensemble inside a user's compiled code: `jit.EnsembleModel.sizes`."""
(ENSEMBLE_FORWARD, ENSEMBLE_MEMBERS, ENSEMBLE_N_IN, ENSEMBLE_N_OUT, ENSEMBLE_TARGETS, ENSEMBLE_WORK_SIZE,
 ENSEMBLE_OUTPUTS, ENSEMBLE_LAYERS, ENSEMBLE_CALLS, ENSEMBLE_SIZE, ENSEMBLE_MODEL) = ENSEMBLE
ENSEMBLE_COUNT = ENSEMBLE.count

MEMBER = Table({
    "layers": "where its LAYER begins: members of one architecture share it",
    "calls": "where its ENTRY begins",
    "parameters": "where its parameters begin",
    "model": "in the first row: which `jit.EnsembleModel` it belongs to",
})
"""A member of an ensemble, a row each: offsets in arrays that hold those of all members."""
MEMBER_LAYERS, MEMBER_CALLS, MEMBER_PARAMETERS, MEMBER_MODEL = MEMBER
MEMBER_COUNT = MEMBER.count

RULE_ADDRESS, RULE_BYTES, RULE_SLOTS = 2**56 - 1, 56, 60
"""The bits of `jit.State.rule` that are an address; where the four begin that count the bytes of a number that the rule
is compiled for, and where those above these, its slots of state."""

SUM = Table({
    "batch_cost": "summed cost of the present batch",
    "epoch_cost": "of the present epoch",
    "epoch_weight": "weight of the samples of the present epoch",
    "epoch_penalty": "the part of an epoch's mean cost that penalties make up",
    "blocks": "summed cost of each block of a round",
}, np.float64, widths={"blocks": MOST_BLOCKS})
"""Running costs: `layout.Learner.sums`."""
SUM_BATCH_COST, SUM_EPOCH_COST, SUM_EPOCH_WEIGHT, SUM_EPOCH_PENALTY, SUM_BLOCKS = SUM
SUM_COUNT = SUM.count

PHASE = Table({
    "gather": "gathering inputs, targets and weights",
    "forward": "forward products",
    "activation": "activations",
    "cost": "the cost",
    "backward": "backward products",
    "gradient": "the gradient",
    "update": "updates",
    "wait": "waiting for other threads",
})
"""Phases of a step that a profile tells apart: a row a layer of `layout.Learner.clock`."""
(PHASE_GATHER, PHASE_FORWARD, PHASE_ACTIVATION, PHASE_COST, PHASE_BACKWARD, PHASE_GRADIENT, PHASE_UPDATE,
 PHASE_WAIT) = PHASE
PHASE_COUNT = PHASE.count

HYPER = Table({
    "rate": "learning rate",
    "power1": "β₁ᵗ, t counting updates",
    "power2": "β₂ᵗ",
    "beta1": "β₁",
    "beta2": "β₂",
    "momentum": "β of SGD",
    "decay": "ρ of the running means of RMSprop and Adadelta",
    "epsilon": "ε, added to what is divided by",
    "epsilon_hat": "1 if ε is added before the bias correction",
    "weight_decay": "λ of decoupled decay",
    "batch_weight": "total weight of the batch that the update follows",
    "best_cost": "what a schedule that watches the cost remembers: the best one",
    "waited": "and epochs since then, -1 before the first",
    "cost": "full-batch methods: the cost where the last step ended",
    "step_length": "how far along its direction the last step went",
    "steps": "steps along directions that go together, since a (re)start",
    "memory": "L-BFGS: pairs of steps and changes of gradient that it remembers at most",
    "pairs": "L-BFGS: such pairs since a (re)start",
    "last_slope": "conjugate gradients: the slope along the last direction, where it began",
    "scale": "scaled conjugate gradients: λ",
    "curvature": "scaled conjugate gradients: dᵀHd along the direction d",
    "refused": "scaled conjugate gradients: 1 if the last step would not have lowered the cost",
    "last_cost": "Rprop: the cost before the last step",
    "begun": "Rprop: 1 if every parameter has its Δ",
    "damping": "Levenberg–Marquardt: λ",
    "growth": "Levenberg–Marquardt: by how much λ grows if the next step fails; 0 at first",
    "alpha": "Bayesian regularisation: α",
    "beta": "Bayesian regularisation: β",
    "effective_parameters": "Bayesian regularisation: γ",
    "evidence": "Bayesian regularisation: log p(targets | α, β)",
}, np.float64)
"""An optimizer's numbers: `layout.Learner.hyper`."""
(HYPER_RATE, HYPER_POWER1, HYPER_POWER2, HYPER_BETA1, HYPER_BETA2, HYPER_MOMENTUM, HYPER_DECAY, HYPER_EPSILON,
 HYPER_EPSILON_HAT, HYPER_WEIGHT_DECAY, HYPER_BATCH_WEIGHT, HYPER_BEST_COST, HYPER_WAITED, HYPER_COST,
 HYPER_STEP_LENGTH, HYPER_STEPS, HYPER_MEMORY, HYPER_PAIRS, HYPER_LAST_SLOPE, HYPER_SCALE, HYPER_CURVATURE,
 HYPER_REFUSED, HYPER_LAST_COST, HYPER_BEGUN, HYPER_DAMPING, HYPER_GROWTH, HYPER_ALPHA, HYPER_BETA,
 HYPER_EFFECTIVE_PARAMETERS, HYPER_EVIDENCE) = HYPER
HYPER_COUNT = HYPER.count

REGULAR = Table({
    "rule": "address of the update rule",
    "total": "address of `penalties.total`",
    "averaged": "1.0 if penalties are divided by the weight of the batch",
    "clip": "the largest |∂E/∂w|, or 0",
    "clip_norm": "the largest norm of the gradient, or 0",
    "fixed": "where in the state the values of fixed parameters lie, NaN for the others, or -1",
    "segments": "rows of the table",
    "factors": "cell of the first row of FACTOR, behind the table",
    "n_factors": "rows of FACTOR, or 0",
    "ungrouped": "where there are any: address of the update rule that `groups.update` calls",
    "penalties": "cell of the first penalty of a neuron, as many cells behind the first square of the gradient",
}, np.float64, start=HYPER.count, others=dict.fromkeys(
    ("rule", "total", "fixed", "segments", "factors", "n_factors", "ungrouped", "penalties"), np.int64))
"""Behind an optimizer's numbers where a fit is regularised, see `penalties`, or parameters have factors, see `groups`;
behind them table, factors and penalties. Whole numbers are bits: to convert them would take 25 ms to compile."""
(REGULAR_RULE, REGULAR_TOTAL, REGULAR_AVERAGED, REGULAR_CLIP, REGULAR_CLIP_NORM, REGULAR_FIXED, REGULAR_SEGMENTS,
 REGULAR_FACTORS, REGULAR_N_FACTORS, REGULAR_UNGROUPED, REGULAR_PENALTIES) = REGULAR
REGULAR_TABLE = REGULAR.start + REGULAR.count
"""Where the table begins: a row of SEGMENT for each stretch of the flat buffer that something is done to."""

SEGMENT = Table({
    "begin": "where it begins in the flat buffer",
    "end": "where it ends",
    "row": "numbers of a neuron",
    "piece": "numbers that share a cell of the penalties: of a neuron, or one",
    "cell": "the first of these cells",
    "l2": "factor of the penalty ½w²",
    "l1": "factor of the penalty |w|",
    "decay": "factor of decoupled decay",
    "largest": "the largest norm of a neuron, or 0",
    "non_negative": "1.0 if its numbers are kept from going below 0",
    "trained": "1.0 if its numbers are trained",
}, np.float64, others=dict.fromkeys(("begin", "end", "row", "piece", "cell"), np.int64))
"""A stretch of the flat buffer, in the table behind REGULAR."""
(SEGMENT_BEGIN, SEGMENT_END, SEGMENT_ROW, SEGMENT_PIECE, SEGMENT_CELL, SEGMENT_L2, SEGMENT_L1, SEGMENT_DECAY,
 SEGMENT_LARGEST, SEGMENT_NON_NEGATIVE, SEGMENT_TRAINED) = SEGMENT
SEGMENT_COLUMNS = SEGMENT.count

FACTOR = Table({
    "begin": "where it begins in the flat buffer",
    "end": "where it ends, which is where the next one begins",
    "rate": "factor of the learning rate",
    "decay": "factor of the decoupled decay of the rule",
}, np.float64, others=dict.fromkeys(("begin", "end"), np.int64))
"""A stretch of the flat buffer whose parameters have the same factors; all rows together are the whole buffer."""
FACTOR_BEGIN, FACTOR_END, FACTOR_RATE, FACTOR_DECAY = FACTOR
FACTOR_COLUMNS = FACTOR.count

SEARCH = Table({
    "doing": "what the pass is for, one of DOING_FRESH …",
    "left": "steps until the next pause",
    "steps": "steps of this fit",
    "penalty": "the penalty in the cost where the last step ended",
    "direct": "address of the kernel that overwrites the direction",
    "remember": "address of the kernel that takes note of a step",
    "penalize": "address of `penalties.update`, or 0",
    "c2": "c₂ of the Wolfe conditions",
    "epsilon": "the resolution of the dtype",
    "alpha": "how far along the line the pass goes",
    "tries": "passes that have gone along this line",
    "bracketed": "1.0 if a minimum lies between the lowest point and the other end",
    "start_cost": "cost where the line begins",
    "start_slope": "slope along the line, where it begins",
    "low_alpha": "the lowest point, which is where the line begins at first",
    "low_cost": "its cost",
    "low_slope": "its slope",
    "high_alpha": "the other end of the interval",
    "high_cost": "its cost",
    "high_slope": "its slope",
    "known": "pairs of L-BFGS that have their products in the tables behind, see `directions.lbfgs_direction`",
}, np.float64, others=dict.fromkeys(("direct", "remember", "penalize"), np.int64))
"""A search along lines: `layout.Learner.search`; behind it lies what a direction keeps during a fit."""
(SEARCH_DOING, SEARCH_LEFT, SEARCH_STEPS, SEARCH_PENALTY, SEARCH_DIRECT, SEARCH_REMEMBER, SEARCH_PENALIZE, SEARCH_C2,
 SEARCH_EPSILON, SEARCH_ALPHA, SEARCH_TRIES, SEARCH_BRACKETED, SEARCH_START_COST, SEARCH_START_SLOPE, SEARCH_LOW_ALPHA,
 SEARCH_LOW_COST, SEARCH_LOW_SLOPE, SEARCH_HIGH_ALPHA, SEARCH_HIGH_COST, SEARCH_HIGH_SLOPE, SEARCH_KNOWN) = SEARCH
SEARCH_COUNT = SEARCH.count

WOLFE = Table({
    "stage": "1.0 until a point is low enough and its slope no longer falls",
    "least": "the shortest step that the next one may be",
    "most": "the longest",
    "width": "of the interval, when it was last compared",
    "last_width": "and the time before",
    "iterations": "steps since a pass of DOING_FRESH",
    "evaluations": "passes of this fit",
    "most_evaluations": "no step begins after more",
    "slope_tolerance": "no slope is larger where it ends",
    "cost_tolerance": "it ends after a step that has lowered the cost by less, relative to the cost or 1",
    "outcome": "why it has ended, one of OUTCOME_NONE …",
}, np.float64)
"""What `more_thuente.next_iterate` keeps at the end of a search's numbers."""
(WOLFE_STAGE, WOLFE_LEAST, WOLFE_MOST, WOLFE_WIDTH, WOLFE_LAST_WIDTH, WOLFE_ITERATIONS, WOLFE_EVALUATIONS,
 WOLFE_MOST_EVALUATIONS, WOLFE_SLOPE_TOLERANCE, WOLFE_COST_TOLERANCE, WOLFE_OUTCOME) = WOLFE
WOLFE_COUNT = WOLFE.count

OUTCOME_NONE, OUTCOME_FLAT, OUTCOME_STEADY, OUTCOME_EVALUATIONS, OUTCOME_LOST = range(5)
"""Not ended; by the slopes; by the cost; too many passes; no lower cost along −∂E/∂w."""

DOING_FRESH, DOING_RESTING, DOING_SEARCHING, DOING_RETURNING = range(4)
"""What a pass is for: where a fit begins; none, a step has ended; along the line; back to its lowest point."""

LINE_GOES_ON, LINE_FOUND, LINE_LOWEST, LINE_NOTHING = range(4)
"""What becomes of a line."""

ROW_GRADIENT, ROW_DIRECTION, ROW_START, ROW_BEFORE, ROW_OWN = range(5)
"""Rows of a full-batch method's state: ∂E/∂w, the direction, parameters and gradient before the step, its own."""
