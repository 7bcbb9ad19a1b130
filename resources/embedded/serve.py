"""The program behind a lease: llama.cpp's OpenAI-compatible server on loopback, until no client is left.

Started by `resources.embedded.server`, as `python -m resources.embedded.serve --folder … --name … --model …`.
"""

import argparse
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resources.embedded.lease import ServerFiles, announce, registered, wait_until_idle


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if os.fork():
        os._exit(0)  # the starter need not reap us, whenever we end
    os.chdir("/")
    starter = os.dup(1)
    os.dup2(2, 1)  # the starter's pipe is for one line from us; whatever else is written belongs in the log
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        _serve(options, starter)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # an ordinary exit hangs in the native server's destructor


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resources.embedded.serve", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where clients and server meet")
    parser.add_argument("--name", required=True, help="the server's name in that folder")
    parser.add_argument("--idle-seconds", type=float, required=True, help="end after so long without a client")
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--alias", required=True, help="the model's name as the server reports it")
    parser.add_argument("--context-tokens", type=int, required=True, help="context of one slot")
    parser.add_argument("--slots", type=int, required=True, help="sequences decoded together")
    parser.add_argument("--embedding", action="store_true", help="serve embeddings instead of completions")
    return parser


def _serve(options: argparse.Namespace, starter: int) -> None:
    files = ServerFiles(options.folder, options.name)
    with registered(files) as state:
        server = _native_server(options)
        announce(state, server.listening_address)
        with contextlib.suppress(BrokenPipeError):  # killed meanwhile; the next client finds us all the same
            os.write(starter, b"serving\n")
        os.close(starter)
        wait_until_idle(files, state, options.idle_seconds)


def _native_server(options: argparse.Namespace) -> Any:
    """An `xllamacpp.Server`, listening on loopback at a free port, its model loaded."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(options.model)
    parameters.model_alias = {options.alias}
    parameters.n_ctx = options.context_tokens * options.slots
    parameters.n_parallel = options.slots
    parameters.port = 0
    parameters.hostnames = ["127.0.0.1"]
    parameters.verbosity = 1  # errors
    parameters.ui = False
    parameters.endpoint_slots = False  # shows every prompt in work
    parameters.cache_ram_mib = 0  # the default of 8 GiB fills up and saves nothing here
    threads = _usable_cores()
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    if options.embedding:
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        parameters.n_batch = options.context_tokens
        parameters.n_ubatch = options.context_tokens  # a non-causal model takes each text in one piece
    return xllamacpp.Server(parameters)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
