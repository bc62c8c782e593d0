"""What a hosted engine and its parent say to each other: length-prefixed Arrow IPC messages over one socket."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dsbuild.engine import Output, Request

_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 20

REQUESTS = pa.schema(
    [
        pa.field("batch", pa.int32()),
        pa.field("text", pa.large_string()),
        pa.field("src", pa.string()),
        pa.field("tgt", pa.string()),
        pa.field("beam", pa.int32()),
        pa.field("context", pa.string()),
    ]
)
OUTPUTS = pa.schema(
    [
        pa.field("text", pa.large_string()),
        pa.field("finish", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("n_src_tokens", pa.int32()),
        pa.field("n_tgt_tokens", pa.int32()),
        pa.field("n_unknown", pa.int32()),
        pa.field("error", pa.string()),
    ]
)
_NOTHING = pa.schema([])


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a kind, a JSON-able header and a table (without columns where none is needed)."""

    kind: str
    header: Mapping[str, Any] = field(default_factory=dict)
    table: pa.Table = field(default_factory=_NOTHING.empty_table)


def send(sock: socket.socket, message: Message) -> None:
    """Write one message; raises `OSError` if the other side is gone, `TimeoutError` after the socket's timeout."""
    header = {"kind": message.kind, "header": json.dumps(dict(message.header), ensure_ascii=False)}
    table = message.table.replace_schema_metadata(header)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue()
    sock.sendall(_LENGTH.pack(body.size))
    sock.sendall(body)


def receive(sock: socket.socket) -> Message | None:
    """Read one message, None at the end of the stream; a stream that ends inside a message raises `ConnectionError`."""
    head = _read(sock, _LENGTH.size)
    if not head:
        return None
    (size,) = _LENGTH.unpack(head)
    body = _read(sock, size)
    if not body:
        raise ConnectionError("the stream ended inside a message")
    table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    metadata = table.schema.metadata
    return Message(metadata[b"kind"].decode(), json.loads(metadata[b"header"]), table)


def _read(sock: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    missing = size
    while missing:
        part = sock.recv(min(missing, _CHUNK))
        if not part:
            if parts:
                raise ConnectionError("the stream ended inside a message")
            return b""
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def pack_requests(batches: Sequence[Sequence[Request]]) -> pa.Table:
    """Batches of requests as one `REQUESTS` table; `batch` is the position of a row's batch."""
    rows = [(position, request) for position, batch in enumerate(batches) for request in batch]
    columns: list[list[Any]] = [
        [position for position, _ in rows],
        [request.text for _, request in rows],
        [request.src for _, request in rows],
        [request.tgt for _, request in rows],
        [request.beam for _, request in rows],
        [json.dumps(dict(request.context), ensure_ascii=False) if request.context else "" for _, request in rows],
    ]
    return _table(columns, REQUESTS)


def unpack_requests(table: pa.Table, n_batches: int) -> list[list[Request]]:
    """The batches of a `REQUESTS` table."""
    batches: list[list[Request]] = [[] for _ in range(n_batches)]
    for row in table.to_pylist():
        context = json.loads(row["context"]) if row["context"] else {}
        batches[row["batch"]].append(Request(row["text"], row["src"], row["tgt"], row["beam"], context))
    return batches


def pack_outputs(outputs: Sequence[Output]) -> pa.Table:
    """Outputs, in order, as an `OUTPUTS` table."""
    return _table([[getattr(output, name) for output in outputs] for name in OUTPUTS.names], OUTPUTS)


def unpack_outputs(table: pa.Table) -> list[Output]:
    """The outputs of an `OUTPUTS` table."""
    return [Output(**row) for row in table.to_pylist()]


def _table(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
