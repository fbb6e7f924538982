"""What a file is instead of an image, for messages with a remedy."""

from __future__ import annotations

_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
}
_UNPACK = "Unpack it first."
_CONVERT = "Convert it to JPEG or PNG first."
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def archive(head: bytes) -> str | None:
    r"""The kind of archive that begins with these bytes; None for anything else.

    Args:
        head: the first 512 bytes of a file.

    >>> archive(b"PK\x03\x04...")
    'a zip archive'
    """
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((what for start, what in _ARCHIVES.items() if head.startswith(start)), None)


def described(head: bytes) -> str | None:
    """What a file is that OpenCV cannot decode, with a remedy; None where its first bytes do not tell.

    Args:
        head: the first 512 bytes of the file.

    >>> described(b"%PDF-1.7")
    'a PDF file. Convert it to JPEG or PNG first.'
    """
    if what := archive(head):
        return f"{what}. {_UNPACK}"
    if head.startswith(b"GIF8") or head[4:12] in (b"ftypavif", b"ftypavis"):  # older versions of OpenCV lack these
        return f"{'a GIF' if head[:4] == b'GIF8' else 'an AVIF'} file that OpenCV does not decode here. {_CONVERT}"
    if head[4:8] == b"ftyp":
        return f"a {'HEIC file' if head[8:12] in _HEIF else 'video'}, which OpenCV does not decode here. {_CONVERT}"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS instead of the file. Fetch the file with 'git lfs pull'."
    if head.startswith(b"\0\x05\x16\x07"):
        return "what macOS notes about a file (AppleDouble). Leave it out."
    start = head.lstrip()[:256].lower()
    for begin, what in {b"%pdf": "a PDF file", b"<svg": "an SVG drawing", b"8bps": "a Photoshop file"}.items():
        if start.startswith(begin):
            return f"{what}. {_CONVERT}"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page. Download the image itself."
    return "an SVG drawing. " + _CONVERT if start.startswith(b"<?xml") and b"<svg" in start else None
