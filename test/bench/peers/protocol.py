"""How a peer talks to the bench: one JSON object a line, questions on stdin, answers on what was stdout."""

import json
import os
import sys
import time

# Libraries print to stdout: from here on that goes to stderr.
_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def milliseconds_since(started):
    return (time.perf_counter() - started) * 1e3


def timed(work):
    started = time.perf_counter()
    work()
    return {"ms": milliseconds_since(started)}


def serve(started, load, unload, generate, together=None):
    """Says how long the start took, then answers until stdin ends.

    load(name, file) and unload(name) are timed here. generate(adapter, ids, tokens) gives the greedy tokens one by
    one; adapter None asks the base model. together(adapters, prompts, tokens) gives lists of them, one per prompt.
    """

    def answer_generate(question):
        begun = time.perf_counter()
        at_ms, ids = [], []
        for token in generate(question["adapter"], question["ids"], question["tokens"]):
            ids.append(token)
            at_ms.append(milliseconds_since(begun))
        return {"atMs": at_ms, "ids": ids}

    def answer_together(question):
        begun = time.perf_counter()
        at_ms, steps = [], []
        for step in together(question["adapters"], question["ids"], question["tokens"]):
            steps.append(step)
            at_ms.append(milliseconds_since(begun))
        return {"answers": [{"atMs": at_ms, "ids": list(ids)} for ids in zip(*steps)]}

    answers = {
        "load": lambda q: timed(lambda: load(q["name"], q["file"])),
        "unload": lambda q: timed(lambda: unload(q["name"])),
        "generate": answer_generate,
        "together": answer_together,
    }
    print(json.dumps({"ms": milliseconds_since(started)}), file=_answers)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(answers[question["do"]](question)), file=_answers)
