"""Language models by name, and asking one many things: in order, each thing once, within a budget."""

from __future__ import annotations

import atexit
import inspect
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dsbuild.answer_text import settled
from dsbuild.answers import AnswerStore, digest_of
from dsbuild.budget import Budget
from dsbuild.errors import EngineError, RecipeError
from dsbuild.language_model import RETRIED_LATER, Call, LanguageModel, Said
from dsbuild.options import check_options
from dsbuild.registry import Registry

LANGUAGE_MODELS = Registry(
    "language model",
    {
        "ctranslate2": "dsbuild.ct2_generator:CTranslate2Generator",
        "openai": "dsbuild.chat_server:ChatServer",
        "vllm": "dsbuild.vllm_model:VllmModel",
    },
)
_AHEAD = (
    8192  # answers that may wait for one before them: a question that is asked again and again must not stop the others
)
_HOPELESS = 500  # answers in a row that never came: the rest would not come either
_PATIENCE_S = 5.0

_open: dict[str, LanguageModel] = {}


def options_of(name: str) -> dict[str, Any]:
    """The options of a language model with their defaults (`inspect.Parameter.empty`: it must be given)."""
    signature = inspect.signature(LANGUAGE_MODELS.get(name))
    return {option: one.default for option, one in signature.parameters.items() if option != "setting"}


def open_model(name: str, options: Mapping[str, Any], setting: str = "generator") -> LanguageModel:
    """The language model with these options, made at the first call and closed at exit or by `close_models`.

    setting: the section of the recipe that names it, for messages. An unknown name or option is an `UnknownName` with the nearest one, a
    lacking or impossible one a `RecipeError`. Nothing is loaded and nobody is asked before the first question.
    """
    factory = LANGUAGE_MODELS.get(name)
    known = options_of(name)
    check_options(f"option of language model {name!r}", setting, factory, known, options)
    lacking = [one for one, default in known.items() if default is inspect.Parameter.empty and options.get(one) is None]
    if lacking:
        raise RecipeError(f"language model {name!r} needs {', '.join(lacking)}: --set {setting}.{lacking[0]}=…")
    key = json.dumps([name, dict(options), setting], sort_keys=True, default=str)
    if key not in _open:
        _open[key] = factory(**options, setting=setting)
    return _open[key]


@atexit.register
def close_models() -> None:
    """Close every model that `open_model` made."""
    while _open:
        _open.popitem()[1].close()


def ask_all(model: LanguageModel, calls: Iterable[Call], answers: AnswerStore, budget: Budget) -> Iterator[Said]:
    """What the model says to each call, in the order of the calls; calls are drawn in another thread, one at a time, as they can be asked.

    What the store knows is not asked again; a call that equals one in flight waits for its answer. An answer is in the store before it is
    handed on, also while nobody takes answers, unless its problem is in `RETRIED_LATER`. Every answer is read by `answer_text.settled`. When
    the budget is reached, calls that nobody asked get the problem "budget". `EngineError` when the model cannot be spoken with.
    """
    asking = _Asking(model, calls, answers, budget)
    try:
        yield from asking.run()
    finally:
        asking.stop()


def all_answered(what: str, said: Iterable[Said]) -> Iterator[Said]:
    """The same answers, and `EngineError` after the last one where questions reached no model: the next run asks only those again.

    what: who asked, as the message names it.
    """
    n, lost, last = 0, 0, ""
    for one in said:
        n += 1
        if one.problem == "unreachable":
            lost, last = lost + 1, one.detail
        yield one
    if lost:
        raise EngineError(no_answer(what, lost, n, last))


def no_answer(what: str, lost: int, asked: int, detail: str) -> str:
    """The line for questions that reached no model, and that another run may ask again."""
    return (
        f"{what}: {lost:,} of {asked:,} questions got no answer ({detail}); run the same command again: "
        "only they are asked, answers so far are kept"
    )


class _Asking:
    """One round of questions: a thread draws the calls, one keeps the answers, the caller takes them."""

    def __init__(self, model: LanguageModel, calls: Iterable[Call], answers: AnswerStore, budget: Budget) -> None:
        self._model, self._calls, self._answers, self._budget = model, calls, answers, budget
        self._changed = threading.Condition()
        self._asked: dict[int, tuple[bytes, Call]] = {}
        self._same: dict[bytes, list[int]] = {}  # the calls that wait for one answer
        self._done: dict[int, Said] = {}
        self._given = 0
        self._stopped = self._finished = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._keep, name="answers", daemon=True)

    def run(self) -> Iterator[Said]:
        self._thread.start()
        while True:
            with self._changed:
                while self._given not in self._done and self._error is None and not self._finished:
                    self._changed.wait()
                if self._error is not None:
                    raise self._error
                if self._given not in self._done:
                    if self._done or self._asked:
                        raise EngineError(f"{self._model.name}: gave no answer to {len(self._asked)} questions")
                    return
                said = self._done.pop(self._given)
                self._given += 1
                self._changed.notify_all()
            yield said

    def stop(self) -> None:
        """Draw no more. What is in flight is kept if it comes soon; the process does not wait for the rest."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE_S)

    def _unknown(self) -> Iterator[tuple[int, Call]]:
        """The calls that must be asked."""
        for number, call in enumerate(self._calls):
            key = digest_of(call)
            with self._changed:
                while number - self._given >= _AHEAD and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                if key in self._same:
                    self._same[key].append(number)
                    continue
            known = self._answers.get(key)
            if known is not None:
                self._budget.add(known, known=True)
                self._finish(number, settled(call, known))
            elif self._budget.reached:
                self._finish(number, Said(problem="budget", detail="the budget was reached before this was asked"))
            else:
                with self._changed:
                    self._same[key] = [number]
                    self._asked[number] = key, call
                yield number, call

    def _keep(self) -> None:
        try:
            lost = 0
            for number, said in self._model.answer(self._unknown()):
                key, call = self._asked[number]
                if said.problem not in RETRIED_LATER:
                    said = self._answers.put(key, said)
                lost = lost + 1 if said.problem == "unreachable" else 0
                if lost >= _HOPELESS:
                    raise EngineError(
                        f"{self._model.name}: {lost} questions in a row got no answer ({said.detail}); "
                        "run the same command again when it answers: answers so far are kept"
                    )
                readable = settled(call, said)
                with self._changed:
                    del self._asked[number]
                    waiting = self._same.pop(key)
                for one in waiting:
                    self._budget.add(said, known=one != number)
                    self._finish(one, readable)
        except BaseException as error:
            with self._changed:
                self._error = error
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _finish(self, number: int, said: Said) -> None:
        with self._changed:
            self._done[number] = said
            self._changed.notify_all()
