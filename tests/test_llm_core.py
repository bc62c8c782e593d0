"""Asking a chat server for many things at once: order, journal, failures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsbuild.old_llm import Answers, ChatServer, Said, ask_all, json_of, said_of
from tests.test_llm import Server


def bodies(*texts: str) -> list[Mapping[str, Any]]:
    return [{"messages": [{"content": "say it louder"}, {"content": json.dumps({"text": text})}]} for text in texts]


def said(server: Server, path: Path, *texts: str, concurrency: int = 3) -> list[Said]:
    chat = ChatServer(server.url, retries=0)
    return list(ask_all(chat, bodies(*texts), lambda: bodies("a")[0], Answers(path), concurrency))


def test_answers_come_in_order_and_are_asked_once(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(40)]
    with Server() as server:
        first = said(server, tmp_path / "journal", *texts)
        assert [json.loads(one.text)["translation"] for one in first] == [text.upper() for text in texts]
        assert len(server.requests) == 40
        assert said(server, tmp_path / "journal", *texts, concurrency=1) == first
        assert len(server.requests) == 40


def test_a_failed_answer_is_not_written_down(tmp_path: Path) -> None:
    with Server() as server:
        one, other = said(server, tmp_path / "journal", "text", "refuse")
        assert (one.error, other.error[:25]) == ("", 'engine_error: HTTP 400 {"')
        said(server, tmp_path / "journal", "text", "refuse")
        assert [json.loads(body["messages"][1]["content"])["text"] for body, _ in server.requests].count("text") == 1
        assert [json.loads(body["messages"][1]["content"])["text"] for body, _ in server.requests].count("refuse") == 2


def test_a_torn_line_costs_one_answer(tmp_path: Path) -> None:
    journal = Answers(tmp_path / "journal")
    journal.put("a", {"x": "नदी"})
    journal.put("b", {"x": 2})
    with (tmp_path / "journal").open("ab") as handle:
        handle.write(b'\n["c", {"x": 1')
    again = Answers(tmp_path / "journal")
    again.put("d", {"x": 4})
    found = Answers(tmp_path / "journal")
    assert [found.get(key) for key in "abcd"] == [{"x": "नदी"}, {"x": 2}, None, {"x": 4}]


def test_what_is_no_object_is_said_so() -> None:
    def answer(text: Any) -> dict[str, Any]:
        return {"choices": [{"message": {"content": text}}]}

    assert json_of(said_of(answer('```json\n{"a": 1}\n```'))) == {"a": 1}
    assert json_of(said_of(answer("[1]"))) == "engine_error: the answer is not an object"
    assert json_of(said_of(answer("yes"))) == "engine_error: the answer is not JSON"
    assert said_of(answer(["a"])).error
    assert said_of({"choices": []}).error
