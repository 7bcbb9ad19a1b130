"""A client process: leases the tiny server, prints its address, and keeps the lease until it is killed.

Arguments: the folder, then the tiny server's own.
"""

import sys
from pathlib import Path

from resources.model_servers.lease import ServerFiles, lease

if __name__ == "__main__":
    program = [str(Path(__file__).with_name("tiny_server.py")), *sys.argv[1:]]
    with lease(ServerFiles(Path(sys.argv[1]), "tiny"), program) as server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        sys.stdin.read()
