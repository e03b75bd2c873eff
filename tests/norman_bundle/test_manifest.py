"""Which manifests are sound, and the digest of one."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_bundle.manifest import bundle_digest, check_manifest, parse_digest
from norman_protocol.errors import BundleInvalid, RequestInvalid
from norman_protocol.rest import FileEntry, Manifest


def entry(path: str, content: bytes = b"") -> FileEntry:
    return FileEntry(path=path, digest=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def manifest(*paths: str) -> Manifest:
    return Manifest(files=tuple(entry(path) for path in paths))


@pytest.mark.parametrize(
    "paths",
    [
        ("model.onnx",),
        ("model.py", "weights/a.bin", "weights/b.bin"),
        ("a", "a.b/c", "ab"),
        ("with space and 'quotes'", "模型/данные.bin", "👩‍🔬.txt"),
        ("...", "..a", ".hidden", "a..b", "~", "-rf", "CON", "%2e%2e", "$HOME", "ab:c"),
        ("x" * 255,),
        ("/".join(["d"] * 63) + "/f",),
        ("/".join(["d" * 199] * 5),),
        ("A", "B/x", "b2/x"),
    ],
)
def test_sound_manifests_pass(paths: tuple[str, ...]) -> None:
    check_manifest(manifest(*sorted(paths)))


HOSTILE = {
    "": "empty",
    "/etc/passwd": "absolute",
    "//server/share": "absolute",
    "C:/x": "absolute",
    "c:x": "absolute",
    "\\\\server\\share": "backslash",
    "a\\b": "backslash",
    "..": "'..'",
    "../x": "'..'",
    "a/../../x": "'..'",
    "a/..": "'..'",
    ".": "'.'",
    "./a": "'.'",
    "a/./b": "'.'",
    "a//b": "empty",
    "a/": "empty",
    "a\0b": "control",
    "a\nb": "control",
    "\x1b[2J": "control",
    "a\x7f": "control",
    "a\x85b": "control",
    "a\u2028b": "control",
    "gpj.\u202eexe": "control",
    "a\udc80": "not Unicode",
    "x" * 256: "255 bytes",
    "ü" * 128: "255 bytes",
    "/".join(["d" * 200] * 5) + "/abc": "1000 bytes",
    "/".join(["d"] * 64) + "/f": "folders deep",
}


@pytest.mark.parametrize(("path", "words"), HOSTILE.items(), ids=map(ascii, range(len(HOSTILE))))
def test_hostile_paths_are_refused(path: str, words: str) -> None:
    with pytest.raises(BundleInvalid) as caught:
        check_manifest(manifest(path))
    assert words in caught.value.message
    assert caught.value.path == path[:300]
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "paths",
    [
        ("Model.onnx", "model.onnx"),
        ("A/x", "a/y"),
        ("Straße", "STRASSE"),
        ("\u00e9.bin", "e\u0301.bin"),
        ("\u212b", "\u00c5"),
        ("d/É/x", "d/e\u0301/y"),
    ],
)
def test_twins_by_case_or_spelling_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(BundleInvalid, match="differ only by case"):
        check_manifest(manifest(*sorted(paths)))


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a", "a-b", "a/b/c"), ("a/b", "a/b/c/d")])
def test_a_path_below_a_file_is_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(BundleInvalid, match="both a file and a folder"):
        check_manifest(manifest(*sorted(paths)))


def test_a_file_below_a_folder_of_other_case_is_refused() -> None:
    with pytest.raises(BundleInvalid, match="differ only by case"):
        check_manifest(manifest("A/b", "a"))


def test_unsorted_and_double_paths_are_refused() -> None:
    with pytest.raises(BundleInvalid, match="sorted by path") as caught:
        check_manifest(manifest("b", "a"))
    assert caught.value.path == "a"
    with pytest.raises(BundleInvalid, match="listed twice"):
        check_manifest(manifest("a", "a"))


def test_no_file_and_too_many_files_are_refused() -> None:
    with pytest.raises(BundleInvalid, match="no files"):
        check_manifest(Manifest(files=()))
    one = entry("a")
    with pytest.raises(BundleInvalid, match="100001 files"):
        check_manifest(Manifest(files=(one,) * 100_001))


def test_a_hundred_thousand_files_pass() -> None:
    digest = "0" * 64
    check_manifest(
        Manifest(
            files=tuple(
                FileEntry(path=f"d/{index:06}", digest=digest, size_bytes=1)
                for index in range(100_000)
            )
        )
    )


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "0" * 63,
        "0" * 65,
        "A" * 64,
        "g" * 64,
        "0" * 64 + "\n",
        " " + "0" * 63,
        "\u0660" * 64,
        "../x",
    ],
)
def test_malformed_digests_are_refused(digest: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        parse_digest(digest)
    assert refused.value.field == "digest"
    with pytest.raises(BundleInvalid, match="digest") as caught:
        check_manifest(Manifest(files=(dataclasses.replace(entry("a"), digest=digest),)))
    assert caught.value.path == "a"


def test_sizes_are_checked() -> None:
    for size_bytes, words in ((-1, "negative"), (1 << 51, "more than"), (1 << 70, "more than")):
        with pytest.raises(BundleInvalid, match=words):
            check_manifest(
                Manifest(files=(dataclasses.replace(entry("a"), size_bytes=size_bytes),))
            )


def test_one_digest_with_two_sizes_is_refused() -> None:
    files = (entry("a", b"x"), dataclasses.replace(entry("b", b"x"), size_bytes=2))
    with pytest.raises(BundleInvalid, match="not the size") as caught:
        check_manifest(Manifest(files=files))
    assert caught.value.digests == [files[0].digest]


def test_bundle_digest_is_held_still() -> None:
    files = (
        FileEntry(path="model.py", digest="a" * 64, size_bytes=3, executable=True),
        FileEntry(path="ü", digest="b" * 64, size_bytes=0),
    )
    first, second = "a" * 64, "b" * 64
    text = f'[["model.py","{first}",3,true],["\\u00fc","{second}",0,false]]'
    assert bundle_digest(Manifest(files=files)) == hashlib.sha256(text.encode()).hexdigest()


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True), st.randoms())
def test_bundle_digest_is_independent_of_order(paths: list[str], shuffler: random.Random) -> None:
    files = [entry(path, path.encode("utf-8", "replace")) for path in paths]
    expected = bundle_digest(Manifest(files=tuple(files)))
    shuffler.shuffle(files)
    assert bundle_digest(Manifest(files=tuple(files))) == expected


@given(st.data())
def test_bundle_digest_depends_on_every_fact(data: st.DataObject) -> None:
    first = entry("a", b"1")
    changed = data.draw(
        st.sampled_from(
            [
                dataclasses.replace(first, path="b"),
                dataclasses.replace(first, digest="0" * 64),
                dataclasses.replace(first, size_bytes=2),
                dataclasses.replace(first, executable=True),
            ]
        )
    )
    assert bundle_digest(Manifest(files=(first,))) != bundle_digest(Manifest(files=(changed,)))


def refusal(bundle: Manifest) -> str | None:
    try:
        check_manifest(bundle)
    except BundleInvalid as error:
        return error.path
    return None


PARTS = st.one_of(
    st.sampled_from(["a", "A", "é", "e\u0301", "..", ".", "", "b\\c", "C:", "x\0", "\u202e"]),
    st.text(max_size=6),
)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), min_size=1, max_size=5))
def test_what_passes_can_be_laid_out_on_a_folding_file_system(paths: list[str]) -> None:
    bundle = manifest(*sorted(set(paths)))
    if refusal(bundle) is not None:
        assert refusal(bundle) in paths
        return
    seen: set[str] = set()
    for path in sorted(set(paths)):
        pure = PurePosixPath(path)
        assert not pure.is_absolute()
        assert str(pure) == path
        assert ".." not in pure.parts
        key = unicodedata.normalize("NFC", path).casefold()
        assert key not in seen
        seen.add(key)
        assert not any(str(parent) in paths for parent in pure.parents)
