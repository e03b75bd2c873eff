"""Write the hostile files: ``python tests/protocol/make_attacks.py``, by hand, when one is added.

The last part of a file's name says what it must meet: ``violation`` or ``too_large``.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("attacks")
PREFIX = struct.Struct("<4sIQ")


def raw(text: bytes, body: bytes = b"", *, magic: bytes = b"NRMN") -> bytes:
    """Return a frame with this header, whatever it says."""
    return PREFIX.pack(magic, len(text), len(body)) + text + body


def said(header: Any, body: bytes = b"") -> bytes:
    """Return a frame with this header as JSON."""
    return raw(json.dumps(header).encode(), body)


def predict(descriptor: Any, buffer: bytes, **more: Any) -> bytes:
    """Return a Predict frame with one value."""
    body = buffer + bytes(-len(buffer) % 64)
    header = {"type": "predict", "id": "1", "values": {"x": descriptor}, "buffers": [len(buffer)]}
    return said({**header, **more}, body)


def tensor(dtype: Any, shape: Any, buffer: bytes = b"") -> bytes:
    """Return a Predict frame with one tensor."""
    return predict({"kind": "tensor", "dtype": dtype, "shape": shape}, buffer)


def strings(*lengths: int, data: bytes = b"") -> bytes:
    """Return a Predict frame with a text tensor whose lengths may lie."""
    return tensor("string", [len(lengths)], struct.pack(f"<{len(lengths)}I", *lengths) + data)


DONE = {"type": "done", "id": "1"}
DEEP = 100_000

VIOLATIONS: dict[str, bytes] = {
    # prefix
    "magic_of_http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "magic_of_tls": bytes.fromhex("1603010200010001fc0303") + bytes(64),
    "magic_zero": bytes(64),
    "magic_lower_case": raw(b"{}", magic=b"nrmn"),
    "magic_byte_order": raw(b'{"type":"done","id":"1"}', magic=b"NMRN"),
    "ends_in_prefix": b"NRMN\x05\0",
    "ends_in_header": raw(b'{"type":"done","id":"1"}')[:-3],
    "ends_in_body": predict({"kind": "bytes"}, b"x" * 100)[:-1],
    "ends_before_body": predict({"kind": "bytes"}, b"x" * 100)[:-128],
    "header_length_zero": raw(b""),
    "header_length_short": PREFIX.pack(b"NRMN", 5, 0) + b'{"type":"done","id":"1"}',
    "rubbish_after_frame": said(DONE) + b"rubbish that is no frame",
    # header as JSON
    "header_not_utf8": raw(b'{"type":"\xff"}'),
    "header_utf16": raw('{"type":"done","id":"1"}'.encode("utf-16")),
    "header_with_bom": raw(b'\xef\xbb\xbf{"type":"done","id":"1"}'),
    "header_not_json": raw(b"type=done"),
    "header_two_objects": raw(b'{"type":"done","id":"1"}{}'),
    "header_trailing_comma": raw(b'{"type":"done","id":"1",}'),
    "header_array": raw(b'["done","1"]'),
    "header_null": raw(b"null"),
    "header_number": raw(b"7"),
    "header_nan": raw(b'{"type":"done","id":"1","x":NaN}'),
    "header_infinity": raw(b'{"type":"done","id":"1","x":-Infinity}'),
    "header_overflowing_number": raw(b'{"type":"done","id":"1","x":1e999}'),
    "header_long_integer": raw(b'{"type":"done","id":"1","x":' + b"9" * 5000 + b"}"),
    "header_lone_surrogate": raw(b'{"type":"done","id":"\\ud800"}'),
    "header_control_character": raw(b'{"type":"done","id":"\n"}'),
    "header_deep_lists": raw(b'{"type":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "header_deep_lists_open": raw(b"[" * DEEP),
    "header_deep_objects": raw(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "header_type_nested": raw(b'{"type":' + b"[" * 900 + b"]" * 900 + b"}"),
    # buffers
    "buffers_not_a_list": said({**DONE, "buffers": 1}),
    "buffers_null": said({**DONE, "buffers": None}),
    "buffers_negative": said({**DONE, "buffers": [-64]}),
    "buffers_negative_and_positive": said({**DONE, "buffers": [128, -64]}, bytes(64)),
    "buffers_fraction": said({**DONE, "buffers": [64.0]}, bytes(64)),
    "buffers_text": said({**DONE, "buffers": ["64"]}, bytes(64)),
    "buffers_true": said({**DONE, "buffers": [True]}, bytes(64)),
    "buffers_missing": said(DONE, bytes(64)),
    "buffers_more_than_body": said({**DONE, "buffers": [65]}, bytes(64)),
    "buffers_less_than_body": said({**DONE, "buffers": [64]}, bytes(128)),
    "buffers_unpadded": said({**DONE, "buffers": [5]}, b"12345"),
    "buffers_beyond_integers": said({**DONE, "buffers": [1 << 100]}),
    "buffers_wrapping_around": said({**DONE, "buffers": [(1 << 64) - 64, 64]}),
    "buffers_too_many": said({**DONE, "buffers": [0] * 4097}),
    "buffers_on_a_message_without_values": said({**DONE, "buffers": [64]}, bytes(64)),
    # message
    "type_missing": said({"id": "1"}),
    "type_null": said({"type": None}),
    "type_number": said({"type": 1}),
    "type_object": said({"type": {"done": 1}}),
    "type_unknown": said({"type": "pickle", "id": "1"}),
    "type_empty": said({"type": ""}),
    "type_of_a_part": said({"type": "caller", "user": "root"}),
    "type_long": said({"type": "x" * 10_000}),
    "field_missing": said({"type": "start", "id": "1"}),
    "field_null": said({"type": "done", "id": None}),
    "field_wrong_type": said({"type": "done", "id": 1}),
    "field_deep": raw(b'{"type":"done","id":' + b"[" * 900 + b"]" * 900 + b"}"),
    "field_text_for_number": said(
        {"type": "invoke", "id": "1", "reference": "a", "timeout_s": "1"}
    ),
    "field_integer_beyond_float": raw(
        b'{"type":"invoke","id":"1","reference":"a","timeout_s":1' + b"0" * 400 + b"}"
    ),
    "field_integer_beyond_64_bits": raw(
        b'{"type":"hello","oldest_protocol":1' + b"0" * 30 + b',"newest_protocol":1,"token":""}'
    ),
    "field_true_for_integer": said(
        {"type": "hello", "oldest_protocol": True, "newest_protocol": 1, "token": ""}
    ),
    "field_not_among_choices": said(
        {"type": "hello", "oldest_protocol": 1, "newest_protocol": 1, "token": "", "role": "root"}
    ),
    "caller_is_text": said({"type": "invoke", "id": "1", "reference": "a", "caller": "root"}),
    "signature_modality_unknown": said(
        {
            "type": "loaded",
            "id": "1",
            "load_s": 1,
            "signature": {"inputs": [{"name": "x", "modality": "smell"}]},
        }
    ),
    "signature_modality_is_a_list": said(
        {
            "type": "loaded",
            "id": "1",
            "load_s": 1,
            "signature": {"inputs": [{"name": "x", "modality": ["text"]}]},
        }
    ),
    # values
    "values_not_an_object": said({"type": "predict", "id": "1", "values": []}),
    "values_without_buffers": said(
        {"type": "predict", "id": "1", "values": {"x": {"kind": "bytes"}}}
    ),
    "buffers_without_values": said({"type": "predict", "id": "1", "buffers": [1]}, bytes(64)),
    "values_same_name_twice": raw(
        b'{"type":"predict","id":"1","values":{"x":{"kind":"bytes"},"x":{"kind":"bytes"}},'
        b'"buffers":[0,0]}'
    ),
    "value_name_long": said(
        {"type": "predict", "id": "1", "values": {"x" * 201: {"kind": "bytes"}}, "buffers": [0]}
    ),
    "descriptor_not_an_object": predict("bytes", b""),
    "descriptor_null": predict(None, b""),
    "kind_missing": predict({}, b""),
    "kind_unknown": predict({"kind": "pickle"}, b""),
    "kind_is_a_list": predict({"kind": ["tensor"]}, b""),
    "kind_is_an_object": predict({"kind": {}}, b""),
    "file_name_is_a_number": predict({"kind": "bytes", "file_name": 7}, b""),
    "file_name_long": predict({"kind": "bytes", "file_name": "x" * 2000}, b""),
    "text_not_utf8": predict({"kind": "text"}, b"\xff\xfe"),
    "text_with_surrogates": predict({"kind": "text"}, b"\xed\xa0\x80"),
    # tensors
    "tensor_without_dtype": predict({"kind": "tensor", "shape": [1]}, b"x"),
    "tensor_without_shape": predict({"kind": "tensor", "dtype": "uint8"}, b"x"),
    "tensor_dtype_unknown": tensor("object", [1], bytes(8)),
    "tensor_dtype_with_fields": tensor("f4,f4", [1], bytes(8)),
    "tensor_dtype_long": tensor("x" * 10_000, [1], b""),
    "tensor_dtype_is_a_list": tensor(["float32"], [1], bytes(4)),
    "tensor_dtype_big_endian": tensor(">f4", [1], bytes(4)),
    "tensor_shape_is_a_number": tensor("uint8", 1, b"x"),
    "tensor_size_negative": tensor("uint8", [-1], b""),
    "tensor_sizes_negative": tensor("uint8", [-1, -1], b"x"),
    "tensor_size_fraction": tensor("uint8", [1.0], b"x"),
    "tensor_size_true": tensor("uint8", [True], b"x"),
    "tensor_size_null": tensor("uint8", [None], b"x"),
    "tensor_size_symbol": tensor("uint8", ["batch"], b"x"),
    "tensor_size_over_bound": tensor("uint8", [1 << 48], b""),
    "tensor_size_beyond_64_bits": tensor("uint8", [0, 1 << 64], b""),
    "tensor_overflow_to_zero": tensor("uint8", [1 << 32, 1 << 32], b""),
    "tensor_overflow_to_one": tensor("uint8", [(1 << 32) + 1, (1 << 32) - 1], b"x"),
    "tensor_overflow_large": tensor("float32", [1 << 40, 1 << 40], bytes(64)),
    "tensor_rank_over_bound": tensor("uint8", [1] * 65, b"x"),
    "tensor_rank_huge": tensor("uint8", [1] * 2000, b"x"),
    "tensor_bytes_short": tensor("float32", [4], bytes(15)),
    "tensor_bytes_long": tensor("float32", [4], bytes(17)),
    "tensor_bytes_for_nothing": tensor("float32", [0], bytes(4)),
    "tensor_bytes_none_for_scalar": tensor("float32", [], b""),
    "tensor_packed_short": tensor("int4", [3], b"x"),
    "tensor_packed_long": tensor("uint2", [4], b"xx"),
    # text tensors
    "strings_end_in_lengths": tensor("string", [3], bytes(11)),
    "strings_length_beyond_data": strings(5, data=b"abc"),
    "strings_length_huge": strings(0xFFFFFFFF, data=b"abc"),
    "strings_lengths_wrapping_around": strings(0xFFFFFFFF, 4, data=b"abc"),
    "strings_length_short": strings(1, data=b"abc"),
    "strings_not_utf8": strings(2, data=b"\xc3\x28"),
    "strings_cut_inside_a_character": strings(1, 1, data="ü".encode()),
    "strings_bytes_for_nothing": tensor("string", [0], b"abcd"),
    "strings_count_huge": tensor("string", [1 << 40], bytes(64)),
}

TOO_LARGE: dict[str, bytes] = {
    "header_of_4_gib": PREFIX.pack(b"NRMN", 0xFFFFFFFF, 0),
    "header_over_bound": PREFIX.pack(b"NRMN", (1 << 20) + 1, 0),
    "body_over_bound": PREFIX.pack(b"NRMN", 2, (2 << 30) + 1) + b"{}",
    "body_of_16_eib": PREFIX.pack(b"NRMN", 2, (1 << 64) - 1) + b"{}",
    "body_beyond_signed": PREFIX.pack(b"NRMN", 2, 1 << 63) + b"{}",
}


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for suffix, attacks in (("violation", VIOLATIONS), ("too_large", TOO_LARGE)):
        for name, content in attacks.items():
            (FOLDER / f"{name}.{suffix}.bin").write_bytes(content)


if __name__ == "__main__":
    main()
