"""The part of TFLite's schema that verify() needs, and a reader that trusts no byte of a file.

TensorFlow's generated reader follows any offset, also out of the file. It serves for the tables of
options, which have none.

A table is a list of its fields, in the order of TFLite's schema.fbs: `name:type` or
`name:type=default`. `[type]` is a vector; `any` is a field that is read elsewhere or not at all.
"""

import re
import struct
from types import SimpleNamespace

from tensorflow.lite.python import schema_py_generated as schema

_SCALARS = {
    "byte": "b", "ubyte": "B", "bool": "?", "ushort": "H", "int": "i", "uint": "I", "long": "q",
    "ulong": "Q", "float": "f",
}  # fmt: skip

_SCHEMA = {
    "Model": """version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string
        buffers:[Buffer] metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]""",
    "OperatorCode": """deprecated_builtin_code:byte custom_code:string version:int=1
        builtin_code:int""",
    "SubGraph": """tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string
        debug_metadata_index:int""",
    "Tensor": """shape:[int] type:byte buffer:uint name:string quantization:Quantization
        is_variable:bool sparsity:any shape_signature:[int] has_rank:bool variant_tensors:any
        external_buffer:uint""",
    "Quantization": """min:[float] max:[float] scale:[float] zero_point:[long] details_type:ubyte
        details:any quantized_dimension:int""",
    "Operator": """opcode_index:uint inputs:[int] outputs:[int] options_type:ubyte options:any
        custom_options:[ubyte] custom_options_format:byte mutating_variable_inputs:[bool]
        intermediates:[int] large_custom_options_offset:ulong large_custom_options_size:ulong
        options_2_type:ubyte options_2:any debug_metadata_index:int""",
    "Buffer": "data:[ubyte] offset:ulong size:ulong",
    "Metadata": "name:string buffer:uint",
    "SignatureDef": """inputs:[TensorMap] outputs:[TensorMap] signature_key:string
        deprecated_tag:any subgraph_index:uint""",
    "TensorMap": "name:string tensor_index:uint",
    "NoOptions": "",
}

# The names of builtin operators by their numbers.
OPERATORS = {n: name for name, n in vars(schema.BuiltinOperator).items() if name.isupper()}
# The tensor types of operators with a rule, by their numbers: NumPy's names.
TYPES = {
    getattr(schema.TensorType, name.upper()): name
    for name in ("float32", "int32", "int64", "bool", "int16", "int8")
}


def _parse(fields):
    for field in fields.split():
        name, kind = field.split(":")
        kind, _, default = kind.partition("=")
        yield name, kind, int(default or 0) if kind in _SCALARS else None


_TABLES = {name: list(_parse(fields)) for name, fields in _SCHEMA.items()}


def failure(where, problem):
    return (
        f"{where} {problem}. The .tflite file is damaged or not made for this interpreter: export "
        "or convert the model again."
    )


def fail(where, problem):
    raise ValueError(failure(where, problem))


def require(condition, where, problem):
    if not condition:
        fail(where, problem)


class Reader:
    """Reads tables of a .tflite file.

    A table is read into a namespace of its fields: numbers, `bytes` for a string, a `memoryview`
    for a vector of ubyte, tuples for other vectors, namespaces for tables, a position in the file
    for `any`. A field that the file leaves out has its default, `None` unless it is a number.
    """

    def __init__(self, data):
        self._data = memoryview(data)
        # Most bytes are read once, vtables once for each of their tables: twice the file in all.
        # A file whose offsets all lead to the same bytes would keep the reader busy for hours.
        self._bytes_left = 4 * len(data)

    def model(self):
        """Reads the model, except the options of the operators, whose type the operator determines.

        Raises:
            ValueError: if an offset leads out of the file, or to bytes of another kind.
        """
        magic = bytes(self._data[4:8])
        require(magic == b"TFL3", "The file", f"has {magic} at byte 4, not b'TFL3'")
        return self.table("Model", self._offset(0, "model"), "model")

    def table(self, name, position, where):
        fields = _TABLES[name]
        slots = self._slots(position, where)
        if len(slots) > len(fields):
            fail(where, f"has {len(slots)} fields, not 0 to {len(fields)}")
        slots += (0,) * (len(fields) - len(slots))
        table = SimpleNamespace(where=where)
        for (field, kind, default), slot in zip(fields, slots, strict=True):
            value = self._value(kind, position + slot, f"{where}.{field}") if slot else default
            setattr(table, field, value)
        return table

    def options(self, name, position, where):
        """Reads a table of an operator's options into a namespace."""
        self._slots(position, where)
        try:
            table = getattr(schema, f"{name}T").InitFromBuf(self._data, position)
        except struct.error:
            fail(where, f"at byte {position} leads out of the file")
        names = {field: re.sub("([A-Z])", r"_\1", field).lower() for field in vars(table)}
        return SimpleNamespace(**{name: getattr(table, field) for field, name in names.items()})

    def _slots(self, position, where):
        """Returns where the fields of a table lie, from its position; 0 for one left out."""
        vtable = position - self._scalar("int", position, where)
        count, odd = divmod(self._scalar("ushort", vtable, where) - 4, 2)
        if odd or count < 0:
            fail(where, f"has {count} fields")
        return self._vector("ushort", count, vtable + 4, where)

    def _value(self, kind, position, where):
        if kind in _SCALARS:
            return self._scalar(kind, position, where)
        position = self._offset(position, where)
        if kind == "any":
            return position
        if kind in _TABLES:
            return self.table(kind, position, where)
        count, start = self._scalar("uint", position, where), position + 4
        if kind != "string":
            return self._vector(kind[1:-1], count, start, where)
        text = bytes(self._vector("ubyte", count + 1, start, where))
        require(text[-1] == 0, where, f"ends with byte {text[-1]}, not 0")
        return text[:-1]

    def _vector(self, kind, count, start, where):
        code = _SCALARS.get(kind, "I")
        size = struct.calcsize(code)
        self._check(start, count * size, size, where)
        if kind == "ubyte":
            return self._data[start : start + count]
        if kind in _SCALARS:
            return struct.unpack_from(f"<{count}{code}", self._data, start)
        return tuple(self._value(kind, start + 4 * i, f"{where}[{i}]") for i in range(count))

    def _offset(self, position, where):
        return position + self._scalar("uint", position, where)

    def _scalar(self, kind, position, where):
        code = _SCALARS[kind]
        size = struct.calcsize(code)
        self._check(position, size, size, where)
        return struct.unpack_from(f"<{code}", self._data, position)[0]

    def _check(self, position, size, alignment, where):
        """Checks a position before each read."""
        if not 0 <= position <= len(self._data) - size:
            fail(where, f"leads to bytes {position} + {size} of {len(self._data)}")
        if position % alignment:
            fail(where, f"leads to byte {position}, which is no multiple of {alignment}")
        self._bytes_left -= size
        if self._bytes_left < 0:
            fail(where, "and what stands before it lead to the same bytes too often")
