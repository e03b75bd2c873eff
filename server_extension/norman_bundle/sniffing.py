"""What bytes are, told from the first few of them: nothing here parses more than a bounded head."""

from __future__ import annotations

import codecs
import re

__all__ = [
    "HEAD_BYTES",
    "describe_bytes",
    "find_onnx_fault",
    "find_source_fault",
    "find_torchscript_fault",
]

HEAD_BYTES = 4096
"""As much of a file is looked at; a shorter head is the whole file."""

_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull` first)"),
    (0, b"PK\x03\x04", "a ZIP archive (such as a PyTorch checkpoint)"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "gzip-compressed data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (0, b"BZh", "bzip2-compressed data"),
    (0, b"\xfd7zXZ\0", "xz-compressed data"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (such as a Keras model)"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x7fELF", "an ELF program or library"),
    (0, b"GGUF", "a GGUF model"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "an ONNX Runtime (ORT format) model"),
    (0, b"SQLite format 3\0", "an SQLite database"),
)
_MARKUP = re.compile(rb"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x00-\xff]")
_SAFETENSORS = re.compile(rb'[\x00-\xff]{5}\x00\x00\x00\{\s*"')
# torch pads each entry's name up to where its content begins, at a multiple of 64 bytes.
_FIRST_PICKLE = re.compile(rb"\A.{26,200}?/data\.pkl.{0,200}?\x80\x02(?P<opcodes>.{10})", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")

# onnx.ModelProto, by field number: the wire types that its fields may have.
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MODEL_FIELDS = {
    1: _VARINT,  # ir_version
    2: _LENGTH,  # producer_name
    3: _LENGTH,  # producer_version
    4: _LENGTH,  # domain
    5: _VARINT,  # model_version
    6: _LENGTH,  # doc_string
    7: _LENGTH,  # graph
    8: _LENGTH,  # opset_import
    14: _LENGTH,  # metadata_props
    20: _LENGTH,  # training_info
    25: _LENGTH,  # functions
    26: _LENGTH,  # configuration
}
_IR_VERSION, _GRAPH = 1, 7
_MAX_IR_VERSION = 1000  # 13 in 2025, one or two more each year


def describe_bytes(head: bytes) -> str:
    r"""Say in a few words what a file that begins with these bytes looks like.

    Examples
    --------
    >>> describe_bytes(b"PK\x03\x04....")
    'a ZIP archive (such as a PyTorch checkpoint)'
    >>> describe_bytes(b"hello\n"), describe_bytes(b"")
    ('text', 'an empty file')
    """
    if not head:
        return "an empty file"
    for offset, magic, description in _MAGICS:
        if head.startswith(magic, offset):
            return description
    if _PICKLE.match(head):
        return "a Python pickle"
    if _MARKUP.match(head):
        return "an HTML page (a download that went wrong?)"
    if _SAFETENSORS.match(head):
        return "a safetensors file"
    if not head.strip(b"\0"):
        return "zero bytes"
    if _is_text(head):
        return "JSON" if head.lstrip()[:1] in (b"{", b"[") else "text"
    return "binary data"


def find_source_fault(head: bytes) -> str | None:
    r"""Say why a file can't be Python source in UTF-8; None where nothing speaks against it.

    Examples
    --------
    >>> find_source_fault(b"def predict(x: float) -> float: ...") is None
    True
    >>> find_source_fault(b"\x80\x04\x95...")
    'it looks like a Python pickle, not like Python source'
    """
    looks = describe_bytes(head)
    if _is_text(head) and looks in ("text", "JSON"):
        return None
    if looks != "binary data":
        return f"it looks like {looks}, not like Python source"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it is UTF-16 text; save it as UTF-8"
    if b"\0" in head:
        return "it holds NUL bytes: binary data, not Python source"
    if not _is_utf8(head):
        return "it is not UTF-8; save it as UTF-8"
    return "it holds control characters: binary data, not Python source"


def find_onnx_fault(head: bytes) -> str | None:
    r"""Say why a file can't be an ONNX model; None where nothing speaks against it.

    An ONNX file has no magic number: it is a protobuf message, onnx.ModelProto. So the tags of
    its top-level fields are walked, as far as the head goes, and compared with the schema.

    Examples
    --------
    >>> find_onnx_fault(b"\x08\x0a:\x00") is None
    True
    >>> find_onnx_fault(b"hello\n")
    'it looks like text, not like an ONNX model'
    """
    looks = describe_bytes(head)
    if looks == "an empty file":
        return "the file is empty"
    if looks != "binary data":
        return f"it looks like {looks}, not like an ONNX model"
    return _walk_model(head, whole=len(head) < HEAD_BYTES)


def find_torchscript_fault(head: bytes) -> str | None:
    r"""Say why a file can't be a TorchScript program; None where nothing speaks against it.

    It is a ZIP archive. Where the pickle of its values stands first, what that begins with tells
    a program from a checkpoint.

    Examples
    --------
    >>> find_torchscript_fault(b"hello\n")
    'it looks like text, not like a program saved by torch.jit.save'
    """
    if not head.startswith(b"PK\x03\x04"):
        return f"it looks like {describe_bytes(head)}, not like a program saved by torch.jit.save"
    found = _FIRST_PICKLE.search(head)
    if found is not None and not found["opcodes"].startswith(b"c__torch__"):
        return (
            "it is a checkpoint, weights without the code that uses them: save "
            "torch.jit.script(model) by torch.jit.save, or write a model.py that loads it"
        )
    return None


def _walk_model(head: bytes, *, whole: bool) -> str | None:
    offset, fields = 0, set[int]()
    while offset < len(head):
        tag, offset = _read_varint(head, offset)
        if offset < 0:
            return _end(whole)
        field, wire_type = tag >> 3, tag & 7
        fault = _check_tag(field, wire_type, first=not fields)
        if fault is not None:
            return fault
        number, offset = _skip_field(head, offset, wire_type)
        if offset < 0:
            return _end(whole)
        if field == _IR_VERSION and not 1 <= number <= _MAX_IR_VERSION:
            return f"it names the impossible ONNX IR version {number}"
        fields.add(field)
    if whole and offset > len(head):
        return _end(whole)
    if whole and _GRAPH not in fields:
        return "it holds no graph: the file is incomplete or no ONNX model"
    return None


def _end(whole: bool) -> str | None:
    return "it ends in the middle of a field: the file is cut off" if whole else None


def _check_tag(field: int, wire_type: int, *, first: bool) -> str | None:
    expected = _MODEL_FIELDS.get(field)
    # Later fields may be unknown ones: a newer ONNX adds them, and protobuf passes them over.
    known = wire_type in (_VARINT, _FIXED64, _LENGTH, _FIXED32) if expected is None else True
    fits = expected is None or wire_type == expected
    if field < 1 or not known or not fits or (first and expected is None):
        return "it is binary data that doesn't begin as an ONNX model does"
    return None


def _skip_field(head: bytes, offset: int, wire_type: int) -> tuple[int, int]:
    """Return a varint's value (else 0) and the offset of the next field; -1 past the head."""
    if wire_type == _FIXED64:
        return 0, offset + 8
    if wire_type == _FIXED32:
        return 0, offset + 4
    number, offset = _read_varint(head, offset)
    if wire_type == _LENGTH and offset >= 0:
        return 0, offset + number
    return number, offset


def _read_varint(head: bytes, offset: int) -> tuple[int, int]:
    """Return the number and the offset after it; offset -1 where the head ends inside it."""
    number = 0
    for shift, byte in enumerate(head[offset : offset + 10]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return number, offset + shift + 1
    return number, -1


def _is_utf8(head: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head, final=len(head) < HEAD_BYTES)  # a head may end inside a character
    except UnicodeDecodeError:
        return False
    return True


def _is_text(head: bytes) -> bool:
    return _is_utf8(head) and not _CONTROL.search(head.decode("utf-8", "ignore"))
