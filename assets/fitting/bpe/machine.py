"""Single steps of a processor that numba has no name for: eight bytes at once, from any place of an array on."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic


@intrinsic
def load(_: Any, data: types.Array, at: types.Integer) -> tuple[Signature, Any]:
    """Eight bytes of an array from any place on, as one number: what a machine does in one step."""

    def generate(context: Any, builder: Any, signature: Signature, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        loaded = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()))
        loaded.align = 1
        return loaded

    return types.uint64(data, types.int64), generate


@intrinsic
def store(_: Any, data: types.Array, at: types.Integer, value: types.Integer) -> tuple[Signature, Any]:
    """Write eight bytes over the elements of an array from any place on: what a machine does in one step."""

    def generate(context: Any, builder: Any, signature: Signature, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        builder.store(arguments[2], builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.none(data, types.int64, types.uint64), generate


@intrinsic
def lowest_bit(_: Any, value: types.Integer) -> tuple[Signature, Any]:
    """The place of the lowest bit that is set, 64 for none."""

    def generate(context: Any, builder: Any, signature: Signature, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def prefetch(_: Any, data: types.Array, at: types.Integer) -> tuple[Signature, Any]:
    """Have an element of an array brought near, without waiting for it. There need not be one at this place."""

    def generate(context: Any, builder: Any, signature: Signature, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), number, number, number])
        function = builder.module.globals.get("llvm.prefetch.p0")
        if function is None:
            function = ir.Function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, number(0), number(3), number(1)])  # to read, soon again, as data
        return context.get_dummy_value()

    return types.none(data, types.int64), generate
