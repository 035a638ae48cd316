"""Random generators that depend on a seed and an index alone."""

import hashlib

import torch


def generator(seed: int, index: int = 0) -> torch.Generator:
    """A CPU generator for draw `index` under `seed`: the same in every batch, order, thread and machine."""
    word = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(word, "big") >> 1)
