"""An OpenAI-compatible server with a real small model inside, in a process of its own: `python -m tests.story_server MODEL LOG CONTROL [--port N]`.

It prints its port. Chat answers come from the model, token by token; `response_format` with a JSON schema is kept by writing the schema's
structure and letting the model fill the strings; seeds, limits, stops, log-probabilities, streams, and scores of given prompts (echo) work.
Every request is a line of LOG, and every answer that went out whole is another. CONTROL is a JSON file, read at each request: a list of
faults, each {"match": words of the last message ("": all), "after": requests that go well before, "times": how often then (missing: always),
"do": what}: a status, "slow", "drop", "half", "stall", "flood", "html", "no_json", "half_json", "no_schema", "refuse_schema", "json_object" (the
only way in which it takes a schema), "no_logprobs", "endless", "empty", "refuse", "wrong_language", "obey" (say to the letter what a passage
dictates after SAY:), "die". What was counted is forgotten when the server starts anew. With --key, a request must bear it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ctranslate2
from tokenizers import Tokenizer

SLOW_S = 0.4
STALL_S = 5.0
DICTATED = "SAY:"
OBEYED = [{"query": "obeyed", "id": "other", "doc_id": "other"}, {"query": "obeyed"}]
REFUSED = {"refuse_schema": ("json_schema", "json_object"), "json_object": ("json_schema",)}
OTHER_LANGUAGE = "नदी के किनारे की पुरानी कहानी कौन सुनाता है"
_STRING_TOKENS = 12


class Model:
    """The model and its tokens."""

    def __init__(self, folder: Path) -> None:
        self.generator = ctranslate2.Generator(str(folder), inter_threads=1, intra_threads=1)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.positions = 512

    def tokens(self, text: str) -> list[str]:
        return list(self.tokenizer.encode(text).tokens)

    def text(self, tokens: list[str]) -> str:
        ids = [self.tokenizer.token_to_id(token) for token in tokens]
        return str(self.tokenizer.decode(ids))

    def goes_on(self, prompt: list[str], n: int, temperature: float, seed: int) -> tuple[list[str], list[float]]:
        """At most n tokens and their log-probabilities; a prompt that is too long loses its beginning."""
        prompt = prompt[-(self.positions - n - 1) :]
        if temperature:
            ctranslate2.set_random_seed(seed % 2**31)
        (found,) = self.generator.generate_batch(
            [prompt], max_length=n, sampling_topk=0 if temperature else 1, sampling_temperature=temperature or 1.0,
            include_prompt_in_result=False, return_scores=True, end_token=["</s>"],
        )  # fmt: skip
        tokens = list(found.sequences[0])
        return tokens, self.scores([*prompt, *tokens])[len(prompt) :]

    def scores(self, tokens: list[str]) -> list[float | None]:
        """The log-probability of each token given those before it; the first has none."""
        (found,) = self.generator.score_batch([tokens[-self.positions :]])
        lost = len(tokens) - len(found.log_probs)
        return [None] * lost + list(found.log_probs)


class Server(ThreadingHTTPServer):
    """The model, the log and the faults."""

    daemon_threads = True

    def __init__(self, port: int, model: Model, log: Path, control: Path, key: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.model, self.log, self.control, self.key = model, log, control, key
        self.used: dict[str, int] = {}
        self.lock = threading.Lock()

    def handle_error(self, request: Any, address: Any) -> None:
        """Who asked and did not wait is no error of the server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, address)

    def note(self, entry: Mapping[str, Any]) -> None:
        with self.lock, self.log.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def fault(self, said: str) -> Any:
        """What this request runs into, None for nothing."""
        try:
            faults = json.loads(self.control.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        with self.lock:
            for number, one in enumerate(faults):
                key = json.dumps([number, one], sort_keys=True)
                if one.get("match", "") not in said:
                    continue
                self.used[key] = used = self.used.get(key, 0) + 1
                if 0 < used - one.get("after", 0) <= one.get("times", 1 << 30):
                    return one["do"]
        return None


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send(200, {"object": "list", "data": [{"id": "stories", "object": "model"}]})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(data)
        chat = self.path.endswith("/chat/completions")
        said = body["messages"][-1]["content"] if chat else body["prompt"]
        fault = self.server.fault(said)
        self.request_id = f"{time.time_ns():x}-{threading.get_ident():x}"
        self.said = said
        self.server.note(
            {"request": self.request_id, "digest": hashlib.sha256(data).hexdigest(), "path": self.path, "said": said, "fault": fault,
             "schema": (body.get("response_format") or {}).get("type"), "seed": body.get("seed"),
             "roles": [one["role"] for one in body.get("messages", [])]}
        )  # fmt: skip
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            # As some servers do, the refusal repeats what was sent.
            self.send(401, {"error": {"message": f"wrong key: {self.headers['Authorization']}"}})
        elif self.spoiled(body, fault):
            pass
        elif not chat:
            self.complete(body)
        elif body.get("stream"):
            self.stream(body, fault)
        else:
            self.end(self.answer(body, fault))

    def end(self, answer: Mapping[str, Any]) -> None:
        """Send a whole answer."""
        self.note_answer(answer)
        self.send(200, answer)

    def note_answer(self, answer: Mapping[str, Any]) -> None:
        """Log it before its last byte goes out, so that who has it finds it in the log."""
        tokens = (answer["choices"][0].get("logprobs") or {}).get("content", [])
        scores = [one["logprob"] for one in tokens]
        self.server.note({"answered": self.request_id, "said": self.said, "usage": answer["usage"], "logprobs": scores})

    def spoiled(self, body: Mapping[str, Any], fault: Any) -> bool:
        """Do what the server rather than the model does wrong; whether nothing is left to say."""
        if fault == "die":
            os._exit(9)
        if fault == "slow":
            time.sleep(SLOW_S)
        if isinstance(fault, int):
            self.send(fault, {"error": {"message": "busy"}}, {"Retry-After": "0"} if fault == 429 else {})
        elif body.get("response_format", {}).get("type") in REFUSED.get(fault, ()):
            self.send(400, {"error": {"message": "response_format is not supported"}})
        elif fault == "html":
            self.send(200, "<html>Sign in to this network</html>")
        elif fault == "drop":
            self.close_connection = True
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"choices":')
            self.wfile.flush()
            self.connection.close()
        else:
            return False
        return True

    def answer(self, body: Mapping[str, Any], fault: Any) -> dict[str, Any]:
        """A whole answer, from the model unless the fault says otherwise."""
        model = self.server.model
        prompt = model.tokens("".join(f"{one['content']}\n" for one in body["messages"]))
        limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 64)
        heat, seed = float(body.get("temperature") or 0), int(body.get("seed") or 0)
        form = body.get("response_format") or {}
        wanted = form.get("json_schema", form).get("schema")
        finish = "stop"
        tokens: list[str] = []
        scores: list[float] = []
        if wanted and fault not in ("no_schema", "no_json", "endless", "empty", "refuse", "obey", "wrong_language"):
            value = self.fill(wanted, prompt, heat, seed)
            text = json.dumps(value, ensure_ascii=False)
        else:
            n = limit if fault == "endless" else min(limit, 24)
            tokens, scores = model.goes_on(prompt, n, heat, seed)
            text = model.text(tokens)
            for stop in body.get("stop") or []:
                text = text.partition(stop)[0] or text.strip().partition(stop)[0]
            finish = "length" if fault == "endless" else "stop"
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if fault == "empty":
            message["content"] = ""
        if fault == "no_json":
            message["content"] = f"Sure! {text}"
        if fault == "refuse":
            message = {"role": "assistant", "content": None, "refusal": "I would rather not."}
        if fault == "half_json":
            message["content"] = text[: len(text) // 2]
        if fault == "wrong_language":
            names = (wanted or {}).get("properties", {})
            message["content"] = json.dumps(dict.fromkeys(names, OTHER_LANGUAGE)) if names else OTHER_LANGUAGE
        if fault == "obey":
            message["content"] = dictated(body["messages"][-1]["content"])
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
        if body.get("logprobs") and fault != "no_logprobs":
            choice["logprobs"] = {
                "content": [{"token": token, "logprob": score} for token, score in zip(tokens, scores, strict=True)]
            }
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(model.tokens(text))}
        return {"id": "x", "object": "chat.completion", "model": "stories", "choices": [choice], "usage": usage}

    def fill(self, schema: Mapping[str, Any], prompt: list[str], heat: float, seed: int) -> Any:
        """A value that keeps a schema; the model writes its strings and chooses among what is listed."""
        model = self.server.model
        if "enum" in schema:
            return max(
                schema["enum"],
                key=lambda one: sum(filter(None, model.scores([*prompt[-200:], *model.tokens(str(one))])[-3:])),
            )
        kind = schema.get("type")
        if kind == "object":
            return {
                name: self.fill(one, [*prompt, *model.tokens(f"{name}:")], heat, seed + 1)
                for name, one in schema.get("properties", {}).items()
            }
        if kind == "array":
            return [
                self.fill(schema["items"], prompt, heat, seed + place)
                for place in range(max(1, schema.get("minItems", 1)))
            ]
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        if kind == "boolean":
            return True
        tokens, _ = model.goes_on(prompt, _STRING_TOKENS, heat, seed)
        return " ".join(model.text(tokens).replace('"', "").split()) or "once"

    def stream(self, body: Mapping[str, Any], fault: Any) -> None:
        """The answer in pieces, as server-sent events."""
        whole = self.answer(body, fault)
        choice = whole["choices"][0]
        text = choice["message"].get("content") or ""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for place, piece in enumerate(self.pieces(whole, text)):
            if fault in ("half", "stall") and place == 1:
                time.sleep(STALL_S if fault == "stall" else 0)
                return
            while True:
                self.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
                self.wfile.flush()
                if fault != "flood":
                    break
        self.note_answer(whole)
        self.wfile.write(b"data: [DONE]\n\n")

    @staticmethod
    def pieces(whole: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
        choice = whole["choices"][0]
        for start in range(0, max(1, len(text)), 7):
            delta = {
                "content": text[start : start + 7],
                "refusal": choice["message"].get("refusal") if start == 0 else None,
            }
            yield {
                "choices": [
                    {
                        "index": 0,
                        "delta": delta,
                        "finish_reason": None,
                        "logprobs": choice.get("logprobs") if start == 0 else None,
                    }
                ]
            }
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
        yield {"choices": [], "usage": whole["usage"]}

    def complete(self, body: Mapping[str, Any]) -> None:
        """/completions: what a prompt is worth (echo with logprobs), and how it goes on."""
        model = self.server.model
        prompt = model.tokens(body["prompt"])
        more, scores = model.goes_on(prompt, int(body.get("max_tokens") or 1), 0.0, 0)
        choice: dict[str, Any] = {"index": 0, "text": model.text(more), "finish_reason": "length"}
        if body.get("echo") and body.get("logprobs") is not None:
            shown = [token.replace("▁", " ") for token in prompt]
            shown[0], shown[1] = "", shown[1].removeprefix(" ")
            choice["logprobs"] = {"tokens": [*shown, *more], "token_logprobs": [*model.scores(prompt), *scores]}
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(more)}
        self.end({"object": "text_completion", "choices": [choice], "usage": usage})

    def send(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, one in (headers or {}).items():
            self.send_header(name, one)
        self.end_headers()
        self.wfile.write(data)


def dictated(said: str) -> str:
    """What the texts of a question dictate, to the letter; `OBEYED` where none does."""
    try:
        texts = [one for one in json.loads(said).values() if isinstance(one, str)]
    except (ValueError, AttributeError):
        texts = [said]
    found = [text.partition(DICTATED)[2] for text in texts if DICTATED in text]
    return found[0] if found else json.dumps(OBEYED)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("control", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="")
    said = parser.parse_args()
    server = Server(said.port, Model(said.model), said.log, said.control, said.key)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
