"""A sample project whose roles are played in batches of a batch server."""

from pathlib import Path

import yaml

from tests.batch_server import BatchServer
from tests.sample_project import SampleProject


def put_in_batches(project: SampleProject, server: BatchServer, *live: str) -> SampleProject:
    """The project with every role but those named in batches of the server. Its endpoint keeps its name."""
    path = Path(project.settings.profile)
    profile = yaml.safe_load(path.read_text())
    profile["endpoints"]["embeddings"] = profile["endpoints"]["fake"]
    profile["endpoints"]["fake"] = {"base_url": server.base_url}
    profile["embedder"]["endpoint"] = "embeddings"
    for name, role in profile["roles"].items():
        role["mode"] = "live" if name in live else "batch"
    path.write_text(yaml.safe_dump(profile))
    return project
