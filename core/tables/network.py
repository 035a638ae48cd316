"""Fully connected networks for tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.tables.table import Table


@dataclass(frozen=True, eq=False)
class Network:
    """A fully connected network with ReLUs on standardised, encoded features."""

    table: Table  # whose columns it takes
    net: nn.Sequential  # Linear, ReLU, ..., Linear
    mean: NDArray[np.float64]  # (q,) of the encoded features
    scale: NDArray[np.float64]  # (q,)

    def activations(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The encoded features (n, q), the outputs of each hidden layer after its ReLU, and what `__call__` gives."""
        encoded = self.table.encoded(values)
        flow = torch.from_numpy((encoded - self.mean) / self.scale).float()
        found = [encoded]
        with torch.no_grad():
            for layer in self.net:
                flow = layer(flow)
                if isinstance(layer, nn.ReLU):
                    found.append(flow.double().numpy())
            found.append((flow.softmax(1) if self.table.classes else flow).double().numpy())
        return found

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the classes (n, C), or predicted values (n, 1), of features (n, p)."""
        return self.activations(values)[-1]

    def replacing(self, values: NDArray[np.float64]) -> Callable[[int, NDArray[np.float64]], NDArray[np.float64]]:
        """A function of a column and k replacements of it (k, n): what the network makes of the rows (k, n, C).

        The first layer changes by its weights of this column alone, and is not computed again.
        """
        encoded = self.table.encoded(values)
        first, *others = self.net
        assert isinstance(first, nn.Linear)
        rest, weight = nn.Sequential(*others), first.weight
        with torch.no_grad():
            usual = first(torch.from_numpy((encoded - self.mean) / self.scale).float())
        widths = [1 if one.kind == "number" else len(one.categories) for one in self.table.columns]
        ends = np.cumsum(widths)

        def outputs(column: int, replaced: NDArray[np.float64]) -> NDArray[np.float64]:
            own = slice(ends[column] - widths[column], ends[column])
            part = replace(self.table, columns=(self.table.columns[column],), values=replaced.reshape(-1, 1)).encoded()
            change = (part.reshape(*replaced.shape, -1) - encoded[:, own]) / self.scale[own]
            with torch.no_grad():
                flow = rest(usual + torch.from_numpy(change).float() @ weight[:, own].T)
                return (flow.softmax(-1) if self.table.classes else flow).double().numpy()

        return outputs

    @classmethod
    def of(cls, table: Table, weights: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Self:
        """A network of given weights (outputs, inputs) and biases, on features that are not standardised."""
        layers: list[nn.Module] = []
        for weight, bias in weights:
            linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
            linear.weight.data, linear.bias.data = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
            layers += [linear, nn.ReLU()]
        count = len(table.encoded_names)
        return cls(table, nn.Sequential(*layers[:-1]).eval(), np.zeros(count), np.ones(count))
