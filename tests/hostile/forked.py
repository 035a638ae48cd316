"""A worker for hostile inputs: it handles one after the other in a forked process, which a hang or a swelling ends.

The process that forks must not have run torch with several threads: a child would wait for threads it does not have.
"""

import os
import pickle
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from core.errors import VitrineError

SECONDS = 20
FRESH = 1100  # megabytes after which the next input gets a new worker, as what is imported and freed adds up
MEGABYTES = 1500  # the most that the worker may have held at any time

Case = tuple[str, Callable[[], object]]


@dataclass(frozen=True)
class Outcome:
    """How one input ended."""

    name: str
    kind: Literal["accepted", "refused", "defect", "hang", "memory"]
    text: str  # the sentence of a refusal, the traceback of a defect
    seconds: float
    megabytes: float  # that the worker has held at most so far

    @property
    def held(self) -> bool:
        """Whether the input was accepted, or refused with a sentence."""
        return self.kind == "accepted" or (self.kind == "refused" and 0 < len(self.text) < 300)


def handled(cases: Sequence[Case], seconds: float = SECONDS, megabytes: float = MEGABYTES) -> list[Outcome]:
    """How each of these inputs ends; a function returns when it accepts its input and raises VitrineError to refuse."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(cases):
        outcomes += _until_it_dies(cases[len(outcomes) :], seconds, megabytes)
    return outcomes


def _until_it_dies(cases: Sequence[Case], seconds: float, megabytes: float) -> list[Outcome]:
    """The outcomes of the first cases, up to and with the first that ends the worker."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _work(cases, writing, megabytes)
    os.close(writing)
    outcomes: list[Outcome] = []
    try:
        while len(outcomes) < len(cases):
            begun, name = time.monotonic(), cases[len(outcomes)][0]
            ready, _, _ = select.select([reading], [], [], seconds)
            if not ready:
                return [*outcomes, Outcome(name, "hang", f"no answer in {seconds:g} s", seconds, 0)]
            outcome = _received(reading)
            if outcome is None:
                return [*outcomes, Outcome(name, "defect", "the worker died", time.monotonic() - begun, 0)]
            outcomes.append(outcome)
            if outcome.kind == "memory" or outcome.megabytes > FRESH:
                return outcomes
        return outcomes
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work(cases: Sequence[Case], writing: int, megabytes: float) -> NoReturn:
    """Handle the cases in this process, and end it."""
    for name, handle in cases:
        begun = time.monotonic()
        kind, text = _ended(handle)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if peak > megabytes:
            kind, text = "memory", f"{peak:,.0f} MB; {text}"
        message = pickle.dumps(Outcome(name, kind, text, time.monotonic() - begun, peak))
        os.write(writing, struct.pack("<Q", len(message)) + message)
        if kind == "memory":
            break
    os._exit(0)


def _ended(handle: Callable[[], object]) -> tuple[Literal["accepted", "refused", "defect", "memory"], str]:
    try:
        handle()
    except VitrineError as error:
        return "refused", str(error)
    except MemoryError:
        return "memory", ""
    except BaseException:  # noqa: BLE001 - whatever it is, it is a defect
        return "defect", traceback.format_exc()[-3000:]
    return "accepted", ""


def _received(reading: int) -> Outcome | None:
    """The next outcome; None if the worker is dead."""
    head = os.read(reading, 8)
    if len(head) < 8:
        return None
    length, content = struct.unpack("<Q", head)[0], b""
    while len(content) < length:
        block = os.read(reading, length - len(content))
        if not block:
            return None
        content += block
    outcome: Outcome = pickle.loads(content)  # from our own child
    return outcome


def report(outcomes: Sequence[Outcome]) -> str:
    """The inputs that did not hold, one paragraph each; "" if all did."""
    return "\n\n".join(
        f"{one.name}: {one.kind} after {one.seconds:.1f} s, {one.megabytes:,.0f} MB. {one.text}"
        for one in outcomes
        if not one.held
    )


def main(cases: Sequence[Case]) -> None:
    """Handle all cases, print those that did not hold, and end with 1 if there are any."""
    outcomes = handled(cases)
    slowest = max(outcomes, key=lambda one: one.seconds)
    kinds = {kind: sum(one.kind == kind for one in outcomes) for kind in ("accepted", "refused")}
    peak = max(one.megabytes for one in outcomes)
    print(f"{len(outcomes)} inputs: {kinds['accepted']} accepted, {kinds['refused']} refused.")
    print(f"Slowest: {slowest.name}, {slowest.seconds:.1f} s. Memory: at most {peak:,.0f} MB.")
    failed = report(outcomes)
    print(failed)
    sys.exit(1 if failed else 0)
