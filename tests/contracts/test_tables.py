"""Contracts of every encoder, decoder and objective in recipes/tables.py."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from builders import generator, make_batch, make_grid, make_tokens
from caesura.errors import RecipeError
from caesura.nn.quantise import QuantiserConfig, ScaleQuantiser
from caesura.objectives.sampling_times import TimedDecoder
from caesura.objectives.scale_tokens import ComponentEncoder
from caesura.recipes.build import build_prior
from caesura.recipes.tables import DECODERS, ENCODERS, OBJECTIVES
from caesura.types import PART_NAMES, Batch, Decoder, Encoder, Objective, ScaledEncoder

WINDOWS = {"dual_path", "scale_tokens", "sampling_times", "next_scale"}
"""What reads windows of one length; tests/tasks/test_generate.py has its own properties."""
GRID = {"conv_pyramid", "masked_grid"} | WINDOWS
"""What reads a regular grid; tests/encoders/test_conv_pyramid.py has its own properties."""
CAUSAL = {"next_patch", "denoise"}
LATENT = {"jepa", "lejepa", "dino", "vicreg"}
"""Objectives on features, whose loss has no known least value."""
SMALL = {"width": 16, "heads": 2, "depth": 2, "position_axes": 2, "channels": 3}


PYRAMID = {"widths": (16, 32), "channels": 2}
PATHS = {"width": 16, "latent": 8, "channels": 2, "heads": 2}


def shape_of(name):
    """Return the small sizes of an encoder or decoder."""
    return PATHS if name == "dual_path" else PYRAMID if name in GRID else SMALL


def make_encoder(name="point_transformer", **settings):
    make, config = ENCODERS[name]
    torch.manual_seed(0)
    return make(config(**(shape_of(name) | settings)))


def make_decoder(name="point_transformer", **settings):
    make, config = DECODERS[name]
    torch.manual_seed(1)
    reads = {} if name in GRID else {"encoder_width": 16}
    return make(config(**(shape_of(name) | reads | settings)))


def make_objective(name, **settings):
    make, config = OBJECTIVES[name]
    shape = {"position_axes": 2, "channels": 3, "values_per_token": 1}
    shape = {k: v for k, v in shape.items() if k in config.model_fields}
    if name in CAUSAL:
        return make(make_encoder(order="causal"), config(**shape, **settings))
    if name == "sum":
        encoder, terms = make_encoder(), []
        for inner in ("masked_tokens", "lejepa"):
            own = OBJECTIVES[inner]
            read = (make_decoder(),) if inner == "masked_tokens" else ()
            terms.append((own[0](encoder, *read, own[1]()), {"objective": own[1]()}))
        return make(encoder, [one for one, _ in terms], config(terms=[t for _, t in terms]))
    if name in LATENT:
        return make(make_encoder(), config(**shape, **settings))
    if name == "supervised":
        return make(make_encoder(), config(outputs=3, **settings), torch.ones(3))
    if name == "distil":
        return make(make_encoder(), config(outputs=3, **settings))
    if name == "token_regression":
        return make(make_encoder(cls=False), config(outputs=2, **settings))
    if name == "scale_tokens":
        book = {"quantiser": {"codes": 16, "width": 8}}
        read = make_decoder("dual_path", presence=settings.pop("presence", False))
        return make(make_encoder("dual_path"), read, config(**book | settings))
    if name == "sampling_times":
        torch.manual_seed(2)
        book = ScaleQuantiser(QuantiserConfig(codes=16, width=8))
        timed = make_decoder("dual_path", presence=True)
        return make(make_encoder("dual_path"), book, timed, config(**settings))
    if name == "next_scale":
        parts = make_objective("scale_tokens").parts()
        own = config(**{"width": 16, "heads": 2, "depth": 2, "dropout": 0.0} | settings)
        return make(*parts.values(), build_prior(own, parts["encoder"], parts["tokenizer"]), own)
    if name in GRID:
        return make(make_encoder("conv_pyramid"), make_decoder("conv_pyramid"), config(**settings))
    return make(make_encoder(), make_decoder(), config(**settings))


def make_inputs(name, lengths=(9, 6, 4), **settings):
    if name in WINDOWS:
        lengths = [2 if name == "sampling_times" else 6 for _ in lengths]
    if name in GRID:
        grid = make_grid([16 * n for n in lengths], **settings)
        return Batch(grid, torch.arange(5, 5 + len(lengths)))
    batch = make_batch(lengths, **settings)
    if name == "supervised":
        batch = dataclasses.replace(batch, target=torch.arange(len(lengths)) % 3)
    if name == "distil":
        batch = dataclasses.replace(
            batch, target=torch.randn(len(lengths), 3, generator=generator(8))
        )
    if name == "token_regression":
        own = torch.randn(len(lengths), max(lengths), 2, generator=generator(9))
        pad = batch.inputs.valid.shape[1] - max(lengths)
        batch = dataclasses.replace(batch, target=torch.nn.functional.pad(own, (0, 0, 0, pad)))
    return batch


encoders = pytest.mark.parametrize("name", ENCODERS)
token_encoders = pytest.mark.parametrize("name", [n for n in ENCODERS if n not in GRID])
token_decoders = pytest.mark.parametrize("name", [n for n in DECODERS if n not in GRID])
objectives = pytest.mark.parametrize("name", OBJECTIVES)
padded_objectives = pytest.mark.parametrize("name", [n for n in OBJECTIVES if n not in WINDOWS])


@encoders
def test_encoder_keeps_its_protocol_and_declared_widths(name):
    encoder = make_encoder(name).eval()
    assert isinstance(encoder, Encoder)
    inputs = make_tokens() if name not in GRID else make_grid((40, 21))
    assert isinstance(inputs, encoder.consumes)
    features = encoder(inputs)
    assert tuple(level.features.shape[-1] for level in features.levels) == encoder.widths
    if encoder.summary_width:
        assert features.summary.shape[-1] == encoder.summary_width
    assert len(encoder(inputs, every_layer=True).levels) == (1 if name in WINDOWS else 2)


@token_encoders
@pytest.mark.parametrize("cls", [True, False])
@pytest.mark.parametrize("relative", [0.0, 3.0])
def test_encoder_rows_are_independent_and_padding_invariant(name, cls, relative):
    encoder = make_encoder(name, cls=cls, relative_scale=relative).eval()
    whole = encoder(make_tokens((7, 4, 2), extra=6))
    tokens = make_tokens((7, 4, 2))
    for row, length in enumerate((7, 4, 2)):
        alone = type(tokens)(*(x[row : row + 1, :length] for x in (
            tokens.values, tokens.observed, tokens.positions, tokens.valid)))  # fmt: skip
        found = encoder(alone)
        ours = whole.levels[0].features[row, :length]
        torch.testing.assert_close(found.levels[0].features[0], ours, atol=1e-5, rtol=1e-4)
        if cls:
            torch.testing.assert_close(found.summary[0], whole.summary[row], atol=1e-5, rtol=1e-4)


def test_absolute_positions_work_without_rotation_and_packed_rows_are_equal():
    settings = {"absolute_positions": True, "rope_fraction": 0.0}
    encoder = make_encoder(**settings).eval()
    tokens = make_tokens((7, 1, 1, 1))  # mostly padding: packed on a CPU
    alone = tokens.select(torch.arange(7)[None].expand(4, -1), tokens.valid)
    whole = encoder(tokens).levels[0].features[0]
    one = encoder(type(tokens)(alone.values[:1], alone.observed[:1], alone.positions[:1],
                               alone.valid[:1]))  # fmt: skip
    torch.testing.assert_close(one.levels[0].features[0], whole, atol=1e-5, rtol=1e-4)
    later = dataclasses.replace(tokens, positions=tokens.positions + torch.tensor([3.0, 0.0]))
    assert (encoder(later).levels[0].features[0] - whole).abs().max() > 1e-3
    decoder = make_decoder(**settings).eval()
    assert decoder(encoder(tokens), make_tokens((2, 2, 2, 2)).without_values()).isfinite().all()


@token_encoders
def test_encoder_is_equivariant_to_the_order_of_observations(name):
    encoder = make_encoder(name).eval()
    tokens = make_tokens((8,))
    order = torch.randperm(8, generator=generator(0))[None]
    mixed = tokens.select(order, torch.ones(1, 8, dtype=torch.bool))
    one, two = encoder(tokens), encoder(mixed)
    torch.testing.assert_close(
        one.levels[0].features[:, order[0]], two.levels[0].features, atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(one.summary, two.summary, atol=1e-5, rtol=1e-4)


@token_encoders
def test_a_shift_in_time_changes_nothing_without_cls_and_something_with_it(name):
    tokens = make_tokens((8,))
    later = dataclasses.replace(tokens, positions=tokens.positions + torch.tensor([64.0, 0.0]))
    without = make_encoder(name, cls=False).eval()
    torch.testing.assert_close(
        without(tokens).levels[0].features, without(later).levels[0].features,
        atol=1e-4, rtol=1e-3,
    )  # fmt: skip
    with_cls = make_encoder(name).eval()
    assert (with_cls(tokens).summary - with_cls(later).summary).abs().max() > 1e-3


def test_encoders_export():
    """In a process of their own: shape checks would bind the dynamic sizes to the example's."""
    script = Path(__file__).parent / "export_encoder.py"
    command = [sys.executable, str(script), *ENCODERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@token_decoders
def test_decoder_answers_each_query_by_itself(name):
    decoder = make_decoder(name).eval()
    assert isinstance(decoder, Decoder)
    features = make_encoder().eval()(make_tokens((7, 4)))
    query = make_tokens((5, 5), seed=3).without_values()
    together = decoder(features, query)
    alone = decoder(features, query.select(torch.full((2, 1), 2), torch.ones(2, 1, dtype=bool)))
    torch.testing.assert_close(together[:, 2:3], alone, atol=1e-5, rtol=1e-4)


@token_decoders
def test_decoder_never_reads_the_values_of_a_query(name):
    decoder = make_decoder(name).eval()
    features = make_encoder().eval()(make_tokens((7, 4)))
    query = make_tokens((5, 5), seed=3)
    assert torch.equal(decoder(features, query), decoder(features, query.without_values()))


@objectives
def test_objective_keeps_its_protocol(name):
    objective = make_objective(name)
    assert isinstance(objective, Objective)
    assert set(objective.parts()) <= set(PART_NAMES)


@objectives
def test_loss_is_finite_and_a_gradient_reaches_each_parameter(name):
    objective = make_objective(name).train()
    loss = objective(make_inputs(name), generator(0))
    assert loss.total.isfinite()
    assert loss.count > 0
    loss.total.backward()
    for key, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


@objectives
def test_one_batch_can_be_overfitted(name):
    objective = make_objective(name).train()
    batch = make_inputs(name)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    share = 0.1
    if name in LATENT | {"sum", "denoise"}:  # noise, and targets of their own, stay
        share = 0.9
    elif name == "next_scale":  # a tenth of the codes are replaced by any others
        share = 0.2
    losses = [float(objective(batch, generator(0)).total)]
    for _ in range(60 if name in LATENT | {"sum"} else 120):
        optimizer.zero_grad()
        found = objective(batch, generator(0))
        found.total.backward()
        optimizer.step()
        if name != "dino":  # whose loss says nothing while its teacher moves; here it stands still
            objective.after_step(found.carry, 0.0)
        losses.append(float(found.total.detach()))
        if max(losses[-3:]) < share * losses[0]:
            return
    pytest.fail(f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g}")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LATENT))
def test_a_latent_objective_learns_without_collapsing(name):
    """The loss falls on fresh draws and the vectors keep a share of the rank they can have.

    DINO's first losses are low because its teacher says the same of everything; there the
    student must tell prototypes by more than their frequency.
    """
    objective = make_objective(name).train()
    lengths = [12] * 24
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    losses = []
    for step in range(50):
        optimizer.zero_grad()
        loss = objective(make_inputs(name, lengths), generator(step))
        loss.total.backward()
        optimizer.step()
        objective.after_step(loss.carry, step / 50)
        losses.append(float(loss.total))
    parts = objective.eval()(make_inputs(name, lengths), generator(99)).parts
    if name == "dino":
        assert float(parts["cross_entropy"]) < float(parts["prototypes_in_use"].log()) - 0.03
    else:
        assert sum(losses[-10:]) < sum(losses[:10])
    assert float(parts["effective_rank"]) > 3  # of 23 that 24 rows can have


@objectives
def test_same_rng_same_loss_and_the_global_rng_is_untouched(name):
    objective = make_objective(name).train()
    before = torch.get_rng_state()
    one, two = (float(objective(make_inputs(name), generator(3)).total) for _ in range(2))
    assert one == two
    assert torch.equal(before, torch.get_rng_state())


@objectives
def test_the_input_is_not_modified(name):
    objective = make_objective(name).train()
    batch = make_inputs(name)
    fields = {f.name: getattr(batch.inputs, f.name) for f in dataclasses.fields(batch.inputs)}
    copy = {name: x.clone() for name, x in fields.items() if isinstance(x, torch.Tensor)}
    objective(batch, generator(0))
    for name, old in copy.items():
        assert torch.equal(getattr(batch.inputs, name), old)


@padded_objectives
def test_extra_padding_changes_neither_loss_nor_gradient(name):
    losses, gradients = [], []
    for extra in (0, 7):
        objective = make_objective(name).eval()
        loss = objective(make_inputs(name, extra=extra), generator(0))
        loss.total.backward()
        losses.append(loss.total)
        gradients.append([p.grad for p in objective.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=1e-5)
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=5e-6, rtol=1e-4)


@objectives
def test_eval_mode_changes_no_state_and_the_state_makes_a_round_trip(name):
    objective = make_objective(name).eval()
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    loss = objective(make_inputs(name), generator(0)).total
    assert all(torch.equal(v, objective.state_dict()[k]) for k, v in before.items())
    other = make_objective(name).eval()
    for parameter in other.parameters():
        parameter.data.normal_()
    other.load_state_dict(before)
    assert torch.equal(loss, other(make_inputs(name), generator(0)).total)


@objectives
def test_an_unknown_setting_raises(name):
    _, config = OBJECTIVES[name]
    with pytest.raises(ValueError, match="nonsense"):
        config(nonsense=1)


def test_an_unknown_name_lists_the_known_ones():
    from caesura.recipes.tables import lookup

    with pytest.raises(
        RecipeError,
        match="unknown objective 'byol'; known: denoise, dino, distil, jepa, lejepa, masked_grid",
    ):
        lookup(OBJECTIVES, "objective", "byol")


@pytest.mark.parametrize(
    ("protocol", "made"),
    [
        (Encoder, lambda: make_encoder("point_transformer")),
        (ScaledEncoder, lambda: make_encoder("conv_pyramid")),
        (ComponentEncoder, lambda: make_encoder("dual_path")),
        (TimedDecoder, lambda: make_decoder("dual_path", presence=True)),
    ],
)
def test_a_protocol_asks_for_what_is_seen_without_running_a_module(protocol, made):
    """From 3.12 on `isinstance` looks members up statically, and misses parts of a module."""
    part = made()
    assert isinstance(part, protocol)
    bases = [base for base in protocol.__mro__ if getattr(base, "_is_protocol", False)]
    members = {name for base in bases for name in vars(base) if not name.startswith("_")}
    assert members
    for member in members:
        inspect.getattr_static(part, member)
