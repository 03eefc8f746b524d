"""The state of a model in C: its memory between steps, and its scratch."""

from keras_fastgrnn.export.c_source.arrays import Array


def memory_values(chain):
    """The members of the state, and its bytes."""
    members, dsp_members = _members(chain, alignment=1), _members(chain, alignment=2)
    return {
        "ram": sum(member.bytes for member in members),
        "dsp_ram": sum(member.bytes for member in dsp_members),
        "members": "\n".join(map(_declarations, members, dsp_members)),
    }


def _members(chain, alignment):
    cells = [cell.integer_cell for cell in chain.cells]
    members = [Array(f"cell_{i}", "int16", cell.units) for i, cell in enumerate(cells)]
    scratch = max(_scratch_size(cell, alignment) for cell in cells)
    members.append(Array("scratch", "int16", scratch))
    outputs_read = cells if chain.dense else cells[:-1]
    if outputs_read:
        size = max(cell.units for cell in outputs_read)
        dtype = outputs_read[0].output_dtype
        odd = size % 2 if dtype == "int8" else 0  # some chips would pad it
        members.append(Array("y", dtype, size + odd))
    return members


def _scratch_size(cell, alignment):
    """The kernel's `fastgrnn_scratch_size()`, for an instruction set with this `ALIGNMENT`."""
    kernel_rank, recurrent_rank = (
        len(matrices[0].values) if len(matrices) == 2 else 0
        for matrices in (cell.kernel, cell.recurrent_kernel)
    )
    features, kernel_rank, aligned_rank = (
        -(-size // alignment) * alignment for size in (cell.features, kernel_rank, recurrent_rank)
    )
    if alignment > 1:
        return alignment - 1 + features + kernel_rank + aligned_rank + cell.units
    return features + kernel_rank + (recurrent_rank or cell.units)


def _declarations(member, dsp_member):
    if member == dsp_member:
        return f"  {member.declaration};"
    return (
        f"#ifdef __ARM_FEATURE_DSP\n  {dsp_member.declaration};\n"
        f"#else\n  {member.declaration};\n#endif"
    )
