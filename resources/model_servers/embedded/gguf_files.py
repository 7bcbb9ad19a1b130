"""Writing GGUF files, the format that llama.cpp reads."""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter


def copy_fields(reader: "GGUFReader", writer: "GGUFWriter", without: Collection[str]) -> None:
    """Copy the metadata of one file to another, except for the fields named in `without`."""
    import gguf

    for field in reader.fields.values():
        # The writer adds the architecture and the fields of the format itself.
        if field.name in without or field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        items = field.types[-1] if is_array else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=items)


def finish(writer: "GGUFWriter") -> None:
    """Write header, metadata and tensors, and close the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
