"""Functions that a task of lm-eval may name in `process_results`."""

import os


def lost(doc, results):
    while results[0] == "for ever":
        pass
    if results[0] == "gone":
        os._exit(1)
    return {"exact_match": 1 if results[0] == doc["answer"] else 0 if results[0] != "broken" else {}["no such key"]}


def graded(doc, results):
    return {"exact_match": 0.5 if results[0] else 0}
