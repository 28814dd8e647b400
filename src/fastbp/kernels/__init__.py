"""The compiled half of fastbp: arrays, integers and floats in, arrays overwritten, nothing allocated, nothing raised.

One page of every kernel: what it does, what it overwrites, -> who calls it. n_in and n_out are the neurons below and in
a layer. A *panel* of n neurons holds a block of samples, strip by strip: element (s, j, v), strip, neuron and lane, is
at (s·n + j)·lanes + v, and belongs to sample s·lanes + v. All panels lie in one array and are named by their offsets
(`layout.Plan`); so do all W^l and b^l, and, laid out like them, the gradient and each slot of an optimizer's state.
Numbers in brackets are those of the equations in docs/explanation/theory.md.

passes.epoch
    run                a chunk of epochs, or one pass for cost and gradient: a `layout.Learner` -> training, each thread
    my_neurons_clipped phase 2 where the norm of the gradient is clipped -> run, in the place of my_neurons
passes.barrier
    stand              until all threads of a team are there: its cells -> `ir.wait` in epoch, rounds, gauss_newton
passes.rounds
    run                what epoch.run does, for a team and batches of several blocks -> training, each thread
    take_round         both phases of several blocks, of which a thread takes whole ones: gradient, parameters, state,
                       cost of the batch -> run
    share              a rule for the parameters of a thread's neurons -> take_round, my_neurons_clipped
    add_up             a rule: gradients of blocks, added in their order, a slice of another one -> share, by address
passes.relay
    my_neurons         phase 2 of two threads, one of which goes on with the sums of the other: gradient, parameters,
                       state -> epoch.run, in the place of backprop.my_neurons
passes.own_weights
    my_samples         phase 1 of two threads that each have weights of the first layer: its net inputs, then
                       `backprop.my_samples` -> epoch.run, in the place of that
passes.shares
    first_strip, first_neuron
                       which strips and neurons are a thread's -> whatever a team calls, which inlines it
passes.backprop
    my_samples         phase 1, some strips through (1)-(5): all panels -> run, derivatives.trace
    my_neurons         phase 2, some neurons of every layer: gradient (6), parameters and state (7)
                       -> run, derivatives.trace
    my_neurons_parametric
                       the same with the gradient of α where an activation has some -> run, in the place of my_neurons
passes.encoded
    encode             what the first layer reads, by the kernels of all encoders and the scaling layer: its panel
                       -> my_samples, predict_many, forward_encoded
    gathered           nothing: in the place of gather where inputs are in their panel already -> my_samples
    my_samples         phase 1 of a network with encoders: encode, `backprop.my_samples`, δ of the encoded numbers
                       -> run, derivatives.trace
    slopes             ∂/∂x through the encoders, from δ of the encoded numbers: a panel of n_0
                       -> derivatives.encoded, input_one_encoded, vjp_one_encoded
    gradients, updates the gradient of some units of the encoders' parameters; their parameters and state (7)
                       -> my_neurons, backpropagate_encoded, my_neurons_clipped
    my_neurons         phase 2 of such a network: gradients and updates, then `backprop.my_neurons` -> run
    predict_many       encode and `predict.predict`, block by block: outputs (samples, n_L) -> core.forward, jit
passes.sparse
    my_samples         phase 1 where the first layer reads non-zeros alone: its net inputs, then `backprop.my_samples`
                       -> run
    my_neurons         phase 2 of it: its gradient and update, then `backprop.my_neurons` -> run
    predict_many       the same forward, block by block: outputs (samples, n_L) -> core.forward
passes.noise
    before_layer       inputs with noise, smoothed targets; outputs and slopes of a hidden layer, some dropped: panels
                       -> my_samples
    drop_out           some outputs of strips, and their slopes, become 0, the others grow -> before_layer
    add_noise          normal numbers added to strips of inputs -> before_layer
passes.predict
    predict            (1)(2) for all rows: outputs (samples, n_L) -> core.forward
    all_finite         tells whether there is neither NaN nor infinity -> core, training
derivatives.shared
    by_blocks          a derivative of all samples: calls the kernel of one of the next modules for each block of them
                       -> Network's methods
    forward_slopes     (1)(2) with φ' of every layer: out and delta panels -> first, gauss_newton, by address
    pushforward        tangents of inputs to every out panel -> jvp, jacobian_by_columns
    pushforward_tangents
                       tangents of parameters, or of several inputs, to every net and out panel -> second,
                       directional_second_derivative
    pullback           δ^L back (5) to every delta panel -> vjp, jacobian_by_rows, parameter_jacobian, backward_pass
    weigh              sample weights onto a panel -> second, directional_second_derivative
    panel_rows         a panel: its samples' rows, one after the other -> outer_products, by address
    outer_products     (6) sample by sample from the panels of a pass: (samples, parameters), strided
                       -> per_sample_gradient, parameter_jacobian, jacobian_rows
derivatives.first
    one for each method of Network
                       derivatives of outputs and cost, sample by sample: rows -> by_blocks; ∂o^L/∂x by rows or by
                       columns, whichever are fewer
derivatives.encoded
    vjp, jacobian, input_gradient
                       the same by the columns of X, through their encoders: rows -> by_blocks
derivatives.second
    product_samples    phase 1 of a product with the Hessian or the Gauss–Newton matrix: all panels -> run, by address
    diagonal_samples   phase 1 of the Hessian's diagonal: δ panels hold ∂²E/∂net², outputs their squares -> run
    sobolev_samples    phase 1 of training on derivatives: all panels -> run
    forward_second     (1)(2) with φ' and φ'': net, out and delta panels -> the three
    second_order, pullback
                       what φ'' brings to δ; δ and the tangents' δ back to every delta panel -> the three
    transpose_all      copies of outputs and their tangents, for gradient -> the three
derivatives.gauss_newton
    root, forward_pass, backward_pass
                       δ^L of the square root of the cost's second derivative, and δ of all layers -> the next
    products           δ_j o_k of each sample: a panel with a row for each parameter -> normal_matrix
    add_squares        such a panel times itself: part of the lower triangle of a matrix in double -> normal_matrix
    normal_matrix      JᵀJ over a range of samples: the same matrix -> derivatives.gauss_newton, each thread
    jacobian_rows      J: (samples, n_L, parameters) -> by_blocks
    directional_second_derivative
                       Jᵀ d²o/dt² along a step: laid out like the parameters -> derivatives.gauss_newton
    substitute         (LLᵀ)⁻¹ times a vector, in place -> derivatives.gauss_newton
embedded
    forward_one, gradient_one, input_one, vjp_one, train_one
                       one sample, neurons in lanes: outputs, cost and gradient, ∂E/∂x, uᵀ∂o/∂x, an update -> jit
    forward_members    one sample through all networks of an ensemble: mean and standard deviation of outputs -> jit
    many               a batch, block by block: mean cost, gradient, an update -> jit
    forward, backward, backpropagate
                       (1)(2), (5) and (6)(7) of one sample -> the five above, by address
    forward_encoded, backpropagate_encoded, input_one_encoded, vjp_one_encoded
                       what those of these names do, of a network with encoders -> in their places
    c_forward          forward_one for callers in C: compiled anew for each network -> cfunctions
embedded_slopes
    parameter_vjp      a batch with a tangent for each input: the gradient from cotangents of o and ∂o/∂x -> jit
    refuse             in the place of many in a model for that one: NaN
passes.online
    predict            (1)(2) for one row x (n_0,), neurons in lanes: output (n_L,) -> core.forward
    run                what epoch.run does, for batches of one sample, neurons in lanes: a `layout.Learner` -> training
passes.record
    batch_cost         the cost of a batch: a panel of one row -> both run, which inline it
    end_batch          a batch's cost into the epoch's; divergence: ``progress`` and ``sums`` of a `layout.Learner` ->
                       epoch.run, which inlines it
    end_epoch          the epoch's cost, the last finite parameters: the arrays of a `layout.Learner` -> both run, by
                       address
passes.stacked
    run                what epoch.run does for a stack of networks, one in each lane: a `layout.StackedLearner`, and
                       parameters (n_parameters, lanes) -> training
passes.line_search
    next_point         the parameters of the next pass over all samples, after cost and gradient of one: state,
                       numbers and record of a full-batch method -> epoch.run, by address, where end_epoch stands else
    set_out            the same where a step begins without a pass -> training
    judge              what becomes of a line after one more point: the cells of a search -> next_point
    cost_of_pass, end_step
                       the cost of a pass with its penalties; the record of a step -> next_point, next_iterate
passes.more_thuente
    next_iterate       what next_point does, with the search, restarts and ends of L-BFGS-B -> epoch.run, by address
    try_point          what becomes of a line after one more point: the cells of a search -> next_iterate
passes.directions
    name_direction     the direction, and the first step length: a row of state -> next_point, by address
    name_note          what is remembered of a step: rows of state -> next_point, by address
layer.dense
    forward            (1): panel of n_out from that of n_in, W (n_out, n_in) and b (n_out,) -> my_samples, predict
    forward_some       the same for some neurons and all strips -> own_weights.my_samples
    backward           (5): panel of n_in, where φ' becomes δ, from that of n_out -> my_samples
    backward_packed    the same by way of a scratch, where layers outgrow the caches -> my_samples
    transpose_panel    a copy of a panel with neurons in lanes, for gradient -> my_samples
    gradient           (6): rows of ∂E/∂W (n_out, n_in) from such a copy -> my_neurons
    gradient_by_lanes  (6): the same from the panel itself, for narrow layers, with those of their biases -> my_neurons
    gradient_on        (6): the same from the sums of another thread over earlier strips -> relay.my_neurons
    bias_gradient      (6): ∂E/∂b of other layers, and ∂E/∂α, from a panel -> my_neurons
layer.bfloat16
    forward, backward, transpose_panel, gradient
                       (1), (5) and (6) as in `dense`, with operands in bfloat16: the scratch, too -> in their places
    gather             rows by index: a panel, and its copy in pairs of samples -> in the place of `gather.gather`
layer.parametric
    activate           (2) with α of each neuron: a panel, net becomes o, and those of slopes, changes and cotangents
                       -> my_samples, predict, online, forward_slopes
    backward           δ and ∂E/∂α of each sample from ∂E/∂o: panels of deltas and changes
                       -> my_samples, online, pullback
    gradient           ∂E/∂α of one sample, neurons in lanes: α^l's part of the gradient, or of the parameters
                       -> online.run, embedded
layer.encoders
    one for each encoder of the catalogue, and one for the gradient of its parameters
                       columns of X become encoded numbers; Σ δ over the samples of each category, and the like
                       -> encode, gradients
layer.sparse
    find_rows          where the non-zeros of a block's rows stand: two integers a sample -> my_samples, predict_many
    forward            (1) of the first layer from these: a panel of n_1, W (n_1, n_0) and b (n_1,) -> the same
    gradient           (6) of the first layer: rows of ∂E/∂W (n_1, n_0) from a panel of deltas -> my_neurons
layer.gather
    gather             rows (samples, n) by index: a panel -> my_samples, predict
    gather_transposed  the same, and the panel's transposed copy -> my_samples, predict
    gather_sparse      the same from the rows of a sparse matrix -> my_samples, predict
    gather_columns     the same for targets of fewer numbers than the panel has rows -> my_samples, forward_second
    gather_labels      class indices (samples,): a one-hot panel -> my_samples
    total_weight       sample weights (samples,): their sum over a batch, into ``hyper`` -> epoch.run
    count              the number of samples instead, where weights may be negative -> epoch.run
    gather_weights     sample weights (samples,): each one's share of the batch, a panel of one row -> my_samples
    scatter            a panel: rows (samples, n) -> predict
functions.activations
    one for each name  (2): a panel, net becomes o, and another, which receives φ' -> my_samples, predict, online
    name_second        φ'': a panel of net inputs, with out and φ' at hand -> forward_second
functions.softmax
    softmax            (2): the same for outputs that sum to one, sample by sample -> my_samples, predict, online
    softmax_backward   (4): the Jacobian product for softmax with a cost that is not its partner -> my_samples, online
    softmax_second     the product of softmax's second derivative with a tangent and a cotangent: added to a panel
                       -> second_order, diagonal_samples
functions.costs
    one for each name  (3)(4): the target panel receives each element's C, in the delta panel φ' becomes δ
                       -> my_samples
    canonical links      the same from net inputs: net becomes o, and δ = o − y -> my_samples, online
    name_second        ∂²C/∂o²: multiplies a panel -> product_samples, diagonal_samples
    name_fisher        Fisher's information, where that stands in for it: multiplies a panel -> product_samples,
                       gauss_newton.forward_pass
    by_output          another cost with a weight for each output -> my_samples, by address, in the place of that cost
    collect            C of each sample, summed over outputs and weighted; deltas weighted -> my_samples
updates.rules
    sgd, adam ...      (7): a slice of parameters and state -> my_neurons, online.run
updates.penalties
    update             a rule with penalties before it: a slice of parameters, gradient and state, cells of penalties
                       -> in the place of a rule; training
    total              an epoch's penalties into its cost: the sums of a `layout.Learner` -> end_epoch, by address
    measure, update_clipped
                       the same in two halves, before and after the norm of the gradient is known
                       -> my_neurons_clipped
updates.groups
    update             a rule, whose learning rate and decay each stretch of parameters multiplies by its factors: a
                       slice of parameters and state -> in the place of a rule
updates.scheduled
    follow             what follows a schedule: numbers of an optimizer, of penalties, of noise -> each run, by address
updates.vectors
    dot, combine       sums over whole flat buffers in double; ax + by: a flat buffer -> optimizers, line_search
    products, mix      Σ_i r_i a_i of many vectors with two others, in double; ax + Σ_k w_k r_k: a flat buffer
                       -> lbfgs_direction, by address
    rprop              (7) by signs: parameters, and Δ, last slope, last step of each -> optimizers
    quickprop          (7) by parabolas: parameters, and last slope and step of each -> optimizers
ir.peak
    single_tiles, pair_tiles
                       (1) of one tile over and over: the end of an array in the L1 cache -> training.profile
    reading            the processor's clock -> training.profile
random
    shuffle            order (samples,): a permutation that depends on key and epoch only -> both run
    shuffle_picked     the same of the rows that stand behind the order -> both run
    next_order         the same from orders of some epochs that stand behind it -> both run

functions.dual
    activation, cost   the loops of the user's own functions, as those above, their slopes by dual numbers -> custom

Beneath them: `elementwise` (exp, tanh, log of one element, inlined), `ir` (the vector tiles and all LLVM IR),
`layout` (where everything lies), `tables` (what the cells of shared arrays are called and mean), `prototypes` (what
kernels that one call chooses from take), `compile` (Numba's options, addresses, machine code on disk). Imports point
down only: ``pyproject.toml`` states the order, and ``make lint`` checks it.
"""
