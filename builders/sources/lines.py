"""Text files as blocks of whole lines: any size, compressed or not, checked for what no reader can take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dsbuild.errors import SourceError

BLOCK_BYTES = 8 << 20
MAX_LINE_BYTES = 256 << 20

_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file, each ended by one line feed; `first_line` is the number (1-based) of the first."""

    path: Path
    data: bytes
    first_line: int

    def line_at(self, offset: int) -> int:
        """The line number of a byte of the block."""
        return self.first_line + self.data.count(b"\n", 0, offset)

    def head_at(self, offset: int) -> str:
        """How the line around a byte begins, for an error: what shows its id to a reader."""
        start = self.data.rfind(b"\n", 0, offset) + 1
        line = self.data[start : self.data.find(b"\n", start)]
        return repr(line[:40].decode("utf-8", "replace"))


def suffixes(path: Path) -> tuple[str, str]:
    """The file's own suffix and its compression suffix, in lower case.

    >>> suffixes(Path("corpus.jsonl.gz")), suffixes(Path("qrels.tsv"))
    (('.jsonl', '.gz'), ('.tsv', ''))
    """
    last = path.suffix.lower()
    if last in _CODECS:
        return Path(path.stem).suffix.lower(), last
    return last, ""


def bare_name(path: Path) -> str:
    """The file's name without its format and compression suffix.

    >>> bare_name(Path("qrels.dev.small.tsv.gz"))
    'qrels.dev.small'
    """
    return Path(path.stem).stem if suffixes(path)[1] else path.stem


def open_stream(path: Path) -> pa.NativeFile:
    """The file's bytes, decompressed by suffix (.gz, .bz2, .zst); a missing file is a `SourceError`."""
    if path.suffix in (".Z", ".z") or path.suffix.endswith("Z"):
        raise SourceError(f"{path}: compressed with Unix compress; decompress it first: gzip -d {path.name}")
    if path.is_dir():
        raise SourceError(f"{path}: is a folder where a file is needed")
    try:
        return pa.input_stream(str(path), compression=_CODECS.get(path.suffix.lower()), buffer_size=1 << 20)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else _reason(error)
        raise SourceError(f"{path}: {reason}") from error


def raw_blocks(path: Path, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The file in blocks of whole lines, bytes unchecked; CRLF becomes LF and a UTF-8 byte-order mark goes.

    Memory is about three blocks, or the longest line; a line over 256 MiB and a damaged file are `SourceError`s.
    """
    waiting: list[bytes] = []
    held = 0
    line = 1
    with open_stream(path) as stream:
        first = True
        while data := _read(stream, path, size):
            if first:
                if data.startswith(_UTF16):
                    raise SourceError(f"{path}: UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
                data, first = data.removeprefix(_BOM), False
            cut = data.rfind(b"\n") + 1
            waiting.append(data[:cut] if cut else data)
            held += len(waiting[-1])
            if held > MAX_LINE_BYTES + size:
                raise SourceError(
                    f"{path}:{line}: a line of more than {MAX_LINE_BYTES >> 20} MiB; "
                    "is this a text file with one row a line?"
                )
            if cut:
                block = _block(path, b"".join(waiting), line)
                line += block.data.count(b"\n")
                waiting, held = [data[cut:]], len(data) - cut
                yield block
    if rest := b"".join(waiting):
        yield _block(path, rest + b"\n", line)


def blocks(path: Path, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """`raw_blocks`, each checked: invalid UTF-8 or a NUL is a `SourceError` that names file and line."""
    for block in raw_blocks(path, size):
        if (at := block.data.find(b"\0")) >= 0:
            raise SourceError(
                f"{path}:{block.line_at(at)}: a NUL character in the line that begins {block.head_at(at)}; "
                "remove it: tr -d '\\000'"
            )
        if not block.data.isascii():
            try:
                block.data.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = block.data[error.start]
                raise SourceError(
                    f"{path}:{block.line_at(error.start)}: invalid UTF-8 (byte 0x{byte:02x}) in the line that begins "
                    f"{block.head_at(error.start)}; convert the file with iconv, or mend that line"
                ) from None
        yield block


def first_line(path: Path) -> str:
    """The first line that is not blank, without its line end; "" for an empty file."""
    for block in blocks(path, 1 << 16):
        for line in block.data.split(b"\n"):
            if line.strip():
                return line.decode("utf-8")
    return ""


def _block(path: Path, data: bytes, line: int) -> Block:
    return Block(path, data.replace(b"\r\n", b"\n") if b"\r\n" in data else data, line)


def _read(stream: pa.NativeFile, path: Path, size: int) -> bytes:
    try:
        data: bytes = stream.read(size)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: damaged or cut short ({_reason(error)}); fetch it again") from error
    return data


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
