"""The steps of a graph of ONNX as operations of torch, and what is changed so that its layers can be looked at."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from core.models.source import package
from core.models.sources.exported.layer_names import layer_names
from core.models.sources.exported.operators import AttentionProduct
from core.models.sources.exported.step import Step, Value
from core.models.sources.exported.usual import usual

# What computes maps or vectors that one may look at. Other operators move, cut and combine numbers; they become layers
# only where they hold weights.
_LAYERS = frozenset({
    "Conv", "ConvTranspose", "Gemm", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
    "GroupNormalization", "LRN", "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Mish",
    "Softplus", "Softsign", "Swish", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "ThresholdedRelu",
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Add", "Sum", "Mul", "Concat", "Flatten",
})  # fmt: skip
_SCALING = frozenset({"Mul", "Div", "Add", "Sub", "Cast", "Identity", "Where", "Transpose"})  # around the two products


_TRIES = 200


def steps_of(model: Any, taken: str) -> list[Step]:
    """The steps that compute the output `taken` of a graph.

    The graph is changed. Raises whatever onnx2pytorch raises for operators that it does not know.
    """
    module = package("onnx2pytorch", "onnx").ConvertModel(_simplified(model)).eval().requires_grad_(False)
    known = package("onnx2pytorch.constants", "onnx")
    named = package("onnx2pytorch.convert.operations", "onnx").get_buffer_name
    constants = {one.name: module.get_buffer(named(one.name)) for one in module.onnx_model.graph.initializer}
    steps, nodes = list[Step](), list(module.onnx_model.graph.node)
    for node, name in zip(nodes, layer_names(nodes), strict=True):
        function = getattr(module, module.mapping[node.output[0]])
        parts = tuple(function.modules()) if isinstance(function, nn.Sequential) else (function,)
        weighted = any(isinstance(part, known.STANDARD_LAYERS) for part in parts)  # it holds its constants
        read = [one for one in node.input if not (weighted and one in constants)]
        while read and not read[-1]:
            read.pop()
        arguments = tuple(constants.get(one, Value(one)) if one else None for one in read)
        several = any(isinstance(part, known.MULTIOUTPUT_LAYERS) for part in parts)
        step = Step(node.op_type, name, function, arguments, tuple(node.output), several, is_layer=False)
        step = usual(step, final=taken in node.output)
        shown = step.operator in _LAYERS or isinstance(step.function, nn.Softmax) or _has_weights(step)
        steps.append(replace(step, is_layer=isinstance(step.function, nn.Module) and shown))
    return _with_attention(_needed(steps, taken))


def with_any_batch(steps: Sequence[Step], given: str, images: Tensor) -> Iterator[list[Step]]:
    """Versions of the steps for any number of images, from those that were written for a single one.

    Shapes that hold the number one for it are freed along an axis at which two images differ from one. Several may be
    possible; those are left out with which a later step fails, or mixes two different images.
    """
    first, second, both = ({given: images[kept]} for kept in (slice(1), slice(1, 2), slice(2)))
    untried: list[tuple[list[Step], tuple[dict[str, Any], ...]]] = [([], (first, second, both))]
    for _ in range(_TRIES):
        if not untried:
            return
        done, (one, other, two) = untried.pop()
        with suppress(RuntimeError, ValueError, IndexError, TypeError):
            if done:
                _run_on_both(done[-1], one, other, two)
            for step in steps[len(done) :]:
                step.run(one, step.function)
                step.run(other, step.function)
                chosen, *more = _freed(step, one, two)
                untried += [([*done, way], (dict(one), dict(other), dict(two))) for way in more]
                done = [*done, chosen]
                _run_on_both(chosen, one, other, two)
            yield done


def _run_on_both(step: Step, one: Mapping[str, Any], other: Mapping[str, Any], two: dict[str, Any]) -> None:
    """Run a step on two images. Raises ValueError if its results are not those of each image alone."""
    step.run(two, step.function)
    for name in step.results:
        alone, pair = (one[name], other[name]), two[name]
        if not isinstance(pair, Tensor) or not pair.is_floating_point():
            continue
        grown = [axis for axis, (a, b) in enumerate(zip(alone[0].shape, pair.shape, strict=True)) if a != b]
        parts = [(pair, pair)]
        if grown:
            axis = grown[0]
            parts = [pair.unflatten(axis, (2, -1)).unbind(axis), pair.unflatten(axis, (-1, 2)).unbind(axis + 1)]
        if not any(all(map(_close, alone, part)) for part in parts):
            raise ValueError(name)


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def _freed(step: Step, one: Mapping[str, Any], two: Mapping[str, Any]) -> list[Step]:
    """The step with its shape freed for the axis of the images, in all ways; alone if it has no such shape."""
    source = step.arguments[0] if step.operator == "Reshape" else None
    if not isinstance(source, Value):
        return [step]
    wanted = step.arguments[-1]
    if len(step.arguments) > 1 and isinstance(wanted, Value) and not torch.equal(one[wanted.name], two[wanted.name]):
        return [step]
    shapes = zip(one[source.name].shape, two[source.name].shape, strict=True)
    grown = [axis for axis, (single, pair) in enumerate(shapes) if single != pair]
    if not grown:
        return [step]
    sides, shape = one[source.name].shape, list(one[step.results[0]].shape)
    # The images come first or last in the axis that grows, and so in the one that they become part of.
    before = {prod(sides[: grown[0]]), prod(sides[: grown[0] + 1])}
    ways = [axis for axis in range(len(shape)) if {prod(shape[:axis]), prod(shape[: axis + 1])} & before]
    own = [axis for axis in ways if shape[axis] == 1]  # of the images alone
    return [
        replace(step, arguments=(source, torch.tensor([*shape[:axis], -1, *shape[axis + 1 :]])))
        for axis in own[:1] or ways
    ] or [step]


def only_maps(steps: Sequence[Step], given: str, images: Tensor) -> list[Step]:
    """The steps, with those as layers whose results are real numbers for each image, and not sizes or indices."""
    values: dict[str, Any] = {given: images}
    kept = []
    for step in steps:
        step.run(values, step.function)
        result = values[step.results[0]]
        real = isinstance(result, Tensor) and result.is_floating_point() and result.dim() > 1
        kept.append(replace(step, is_layer=step.is_layer and real))
    return kept


def _simplified(model: Any) -> Any:
    """The graph without operators that only name constants; exporters share equal weights by them."""
    graph, other = model.graph, dict[str, str]()
    constants, kept = {one.name for one in graph.initializer}, []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = other.get(name, name)
        if node.op_type == "Identity" and node.input[0] in constants:
            other[node.output[0]] = node.input[0]
        elif node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            constants.add(tensor.name)
        else:
            kept.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def _needed(steps: Sequence[Step], taken: str) -> list[Step]:
    """The steps that an output depends on."""
    wanted, kept = {taken}, []
    for step in reversed(steps):
        if wanted & set(step.results):
            kept.append(step)
            wanted |= step.reads
    return kept[::-1]


def _with_attention(steps: Sequence[Step]) -> list[Step]:
    """The steps with the attention of transformers marked, and nothing inside of it as a layer."""
    made = {result: index for index, step in enumerate(steps) for result in step.results}
    changed = list(steps)

    def before(index: int) -> Iterator[int]:
        """The steps without weights right before one, back to a product."""
        for name in steps[index].reads & made.keys():
            source = made[name]
            if steps[source].operator in _SCALING and not _has_weights(steps[source]):
                yield source
                yield from before(source)

    for index, step in enumerate(steps):
        first = step.arguments[0] if step.arguments else None
        if step.operator != "MatMul" or _has_weights(step) or not isinstance(first, Value) or first.name not in made:
            continue
        weights = made[first.name]
        while steps[weights].operator in {"Dropout", "Cast", "Identity"} and steps[weights].reads & made.keys():
            weights = made[next(iter(steps[weights].reads & made.keys()))]
        if steps[weights].operator != "Softmax":
            continue
        changed[index] = replace(step, function=AttentionProduct(), several=True, is_layer=True)
        scores = list(before(weights))
        products = [made[name] for i in (weights, *scores) for name in steps[i].reads & made.keys()]
        inside = {*scores, *(i for product in products if steps[product].operator == "MatMul" for i in before(product))}
        for one in inside:
            changed[one] = replace(changed[one], is_layer=False)
    return changed


def _has_weights(step: Step) -> bool:
    return isinstance(step.function, nn.Module) and any(True for _ in step.function.parameters())


def last_reads(steps: Sequence[Step], taken: str) -> list[tuple[str, ...]]:
    """For each step the results that nothing reads after it."""
    seen, ends = {taken}, []
    for step in reversed(steps):
        ends.append(tuple((step.reads | set(step.results)) - seen))
        seen |= step.reads | set(step.results)
    return ends[::-1]


def by_name(steps: Sequence[Step]) -> Mapping[str, nn.Module]:
    """The layers among the steps, in their order."""
    return {step.name: step.function for step in steps if step.is_layer and isinstance(step.function, nn.Module)}
