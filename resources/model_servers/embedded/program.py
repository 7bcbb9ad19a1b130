"""The program of an embedded server: llama.cpp's OpenAI-compatible server on loopback, until there is no client.

`resources.model_servers.embedded.servers` starts it: `python -m resources.model_servers.embedded.program --model …`.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from resources.model_servers.background import ListeningServer, serve_until_idle
from resources.model_servers.lease import ServerFiles

SPIN_COUNT = "2000"  # a few microseconds; OpenMP's own default is some milliseconds


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    files = ServerFiles(options.folder, options.name)
    serve_until_idle(files, lambda: _native_server(options), options.idle_seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resources.model_servers.embedded.program", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the files that clients and server share")
    parser.add_argument("--name", required=True, help="name of these files")
    parser.add_argument("--idle-seconds", type=float, required=True, help="end after this time without a client")
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--alias", required=True, help="the model's name as the server reports it")
    parser.add_argument("--context-tokens", type=int, required=True, help="context of one slot")
    parser.add_argument("--slots", type=int, required=True, help="sequences decoded together")
    parser.add_argument("--embedding", action="store_true", help="serve embeddings instead of completions")
    return parser


def _native_server(options: argparse.Namespace) -> ListeningServer:
    """An `xllamacpp.Server` with its model loaded, on a free loopback port."""
    # Threads that spin at every barrier slow each other down when other processes use the cores.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
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
    parameters.endpoint_slots = False  # would show every current prompt
    parameters.cache_ram_mib = 0  # measured: the default of 8 GiB fills up and saves nothing
    threads = _usable_cores()
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    if options.embedding:
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        parameters.n_batch = options.context_tokens
        parameters.n_ubatch = options.context_tokens  # a non-causal model reads each text in one batch
    server: ListeningServer = xllamacpp.Server(parameters)
    return server


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
