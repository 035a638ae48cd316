"""An unpickler that runs nothing: whatever a pickle would import or call becomes an inert stand-in.

Weights are found among the stand-ins by the name of torch's function that would have rebuilt them (`checkpoint`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pickletools import genops
from typing import Any, Protocol

MOST_OPERATIONS = 600_000  # a large network with its optimiser takes some 100,000; these take seconds

# What does harm when it is called. It would not be called here either; a file that brings it is refused all the same.
_CODE = {
    *("os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "runpy", "importlib", "pty", "ctypes", "marshal"),
    *(
        "commands",
        "pickle",
        "webbrowser",
        "pdb",
        "timeit",
        "io.open",
        "_io.open",
        "types.CodeType",
        "types.FunctionType",
    ),
    *("eval", "exec", "execfile", "compile", "__import__", "open", "breakpoint", "input"),
    *("torch.load", "torch.hub", "torch.jit"),
}


class Code(Exception):
    """The pickle would call a function that does harm; the argument is its name."""


class Malformed(Exception):
    """The bytes are not a pickle that can be read; the argument says why."""


class Source(Protocol):
    """What pickles are read from."""

    def read(self, count: int, /) -> bytes:
        """At most this many bytes."""

    def readline(self) -> bytes:
        """The bytes to the next end of a line."""

    def tell(self) -> int:
        """The position in the file."""


class Pairs(list[tuple[Any, Any]]):
    """A dictionary as a list of its keys and values. Keys are never hashed: that of a nested tuple may take years."""


@dataclass(eq=False, slots=True)
class StandIn:
    """A name that a pickle imports, or what it would have built by calling it."""

    name: str  # "collections.OrderedDict"
    args: Any = ()
    state: Any = None
    pairs: Pairs = field(default_factory=Pairs)  # items set on it


def unpickled(file: Source, persistent: Callable[[Any], Any]) -> Any:
    """The object that the next pickle in a file describes, of numbers, texts, lists, tuples, Pairs and StandIns.

    `persistent` gives the object of a persistent id. Raises Malformed, and Code for a file that would do harm.
    """
    try:
        return _Machine(persistent).run(file)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError, MemoryError) as error:
        raise Malformed(" ".join(str(error).split())[:80]) from None


class _Machine:
    """The stack machine of pickle: a method for each operation that does more than push its argument."""

    def __init__(self, persistent: Callable[[Any], Any]) -> None:
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, file: Source) -> Any:
        stack = self.stack
        for count, (operation, arg, _) in enumerate(genops(file)):  # type: ignore[arg-type]  # needs only a Source
            if count > MOST_OPERATIONS:
                raise Malformed("it holds too many objects")
            act = getattr(self, f"on_{operation.name.lower()}", None)
            if act:
                act(arg)
            elif operation.arg:
                stack.append(arg)  # a number, a text or bytes
            else:
                raise Malformed(f"the operation {operation.name} is unknown")
        return stack.pop()

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def called(self, function: Any, args: Any) -> StandIn:
        name = function.name if isinstance(function, StandIn) else type(function).__name__
        if _CODE.intersection((name, name.partition(".")[0], name.rpartition(".")[0])):
            raise Code(name)
        return StandIn(name, args)

    def on_stop(self, _: Any) -> None:
        """The object on top of the stack is the result."""

    def on_mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def on_get(self, arg: int) -> None:
        self.stack.append(self.memo[arg])

    on_binget = on_long_binget = on_get

    def on_put(self, arg: int) -> None:
        self.memo[arg] = self.stack[-1]

    on_binput = on_long_binput = on_put

    def on_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def on_none(self, _: Any) -> None:
        self.stack.append(None)

    def on_newtrue(self, _: Any) -> None:
        self.stack.append(True)

    def on_newfalse(self, _: Any) -> None:
        self.stack.append(False)

    def on_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def on_empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def on_empty_dict(self, _: Any) -> None:
        self.stack.append(Pairs())

    def on_empty_set(self, _: Any) -> None:
        self.stack.append(StandIn("set"))

    def on_list(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def on_tuple(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append((*items,))

    def on_tuple1(self, _: Any) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def on_tuple2(self, _: Any) -> None:
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def on_tuple3(self, _: Any) -> None:
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def on_dict(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append(Pairs(zip(items[::2], items[1::2], strict=True)))

    def on_frozenset(self, _: Any) -> None:
        self.since_mark()
        self.stack.append(StandIn("frozenset"))

    def on_append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def on_appends(self, _: Any) -> None:
        self._extend(self.since_mark())

    def on_additems(self, _: Any) -> None:
        self.since_mark()

    def on_setitem(self, _: Any) -> None:
        value = self.stack.pop()
        self._set([(self.stack.pop(), value)])

    def on_setitems(self, _: Any) -> None:
        items = self.since_mark()
        self._set([*zip(items[::2], items[1::2], strict=True)])

    def on_global(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self.stack.append(_imported(module, name))

    def on_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise Malformed("a name is not a text")
        self.stack.append(_imported(module, name))

    def on_reduce(self, _: Any) -> None:
        args = self.stack.pop()
        self.stack.append(self.called(self.stack.pop(), args))

    on_newobj = on_reduce

    def on_newobj_ex(self, _: Any) -> None:
        self.stack.pop()  # keyword arguments
        self.on_reduce(None)

    def on_obj(self, _: Any) -> None:
        function, *args = self.since_mark()
        self.stack.append(self.called(function, args))

    def on_inst(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self.stack.append(self.called(_imported(module, name), self.since_mark()))

    def on_build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], StandIn):
            self.stack[-1].state = state

    def on_persid(self, arg: Any) -> None:
        self.stack.append(self.persistent(arg))

    def on_binpersid(self, _: Any) -> None:
        self.stack.append(self.persistent(self.stack.pop()))

    def on_pop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def on_pop_mark(self, _: Any) -> None:
        self.since_mark()

    def on_dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def on_proto(self, _: Any) -> None:
        """A header without meaning here."""

    on_frame = on_proto

    def _extend(self, items: Any) -> None:
        if type(self.stack[-1]) is list:  # not Pairs
            self.stack[-1].extend(items)

    def _set(self, pairs: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, StandIn | Pairs):
            (target.pairs if isinstance(target, StandIn) else target).extend(pairs)


def _imported(module: str, name: str) -> StandIn:
    return StandIn((name if module in {"builtins", "__builtin__"} else f"{module}.{name}")[:200])
