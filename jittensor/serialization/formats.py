"""The first bytes of a file in, what kind of file that is out."""

from __future__ import annotations

__all__ = ["HEAD", "describe", "describe_archive", "may_be_pickle"]

HEAD = 512
_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras writes such)"),
    (b"\x93NUMPY", "a NumPy array; numpy.load reads it"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"), (b"GGUF", "a GGUF model"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded"),
)


def describe(head: bytes) -> str:
    """What a file that begins so is, in words."""
    for signature, words in _SIGNATURES:
        if head.startswith(signature):
            return words
    if head[257:262] == b"ustar":
        return "a tar archive (PyTorch 0.1.9 and older wrote such; nothing newer does)"
    if len(head) > 9 and head[8:9] == b"{" and b'":' in head and int.from_bytes(
            head[:8], "little") < 1 << 32:
        return "a safetensors file; jittensor.safetensors.load_file reads it"
    text = head.lstrip()
    if text[:1] == b"<":
        return "a web page or XML (a download that went wrong?)"
    if text[:1] in (b"{", b"[") and text.isascii():
        return "JSON text"
    if not head:
        return "empty"
    if head.isascii() and all(c >= 32 or c in b"\t\r\n\f" for c in head):
        return f"text that begins {head[:24]!r}"
    return f"of an unknown format that begins {head[:8]!r}"


def describe_archive(names: list[str]) -> str:
    """What a zip with these names is, if it is not one of torch.save's."""
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive; numpy.load reads it"
    if "META-INF/MANIFEST.MF" in names:
        return "a Java archive"
    if any(name.startswith("word/") or name.startswith("xl/") for name in names):
        return "an office document"
    return f"a zip with {len(names)} entries" + (f", the first '{names[0]}'" if names else "")


def may_be_pickle(head: bytes) -> bool:
    """Whether a file that begins so can be a pickle: one of protocol 2 on, or an old text one."""
    if head[:1] == b"\x80":
        return len(head) > 1 and head[1] <= 5
    return head[:1] in (b"L", b"I", b"(", b"c", b"]", b"}") and not describe(head).startswith(
        ("JSON", "a ", "an ", "compressed"))
