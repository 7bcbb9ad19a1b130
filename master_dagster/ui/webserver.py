"""`python -m master_dagster.ui.webserver`: Dagster's webserver with its own options, behind `RequestCheck`.

`MASTER_UI_HOSTS` holds the host names, separated by commas, under which it is opened beside localhost.
"""

import os
from typing import Any

from dagster_webserver.cli import main
from dagster_webserver.webserver import DagsterWebserver
from starlette.types import ASGIApp

from master_dagster.ui.request_check import HOSTS_VARIABLE, RequestCheck


def check_requests(names: str) -> None:
    """Put the check before each webserver that this process starts. `names` is the value of `MASTER_UI_HOSTS`."""
    unchecked = DagsterWebserver.create_asgi_app

    def create_asgi_app(webserver: DagsterWebserver[Any, Any], **options: Any) -> ASGIApp:
        return RequestCheck(unchecked(webserver, **options), names.replace(",", " ").split())

    DagsterWebserver.create_asgi_app = create_asgi_app  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    check_requests(os.environ.get(HOSTS_VARIABLE, ""))
    main()  # type: ignore[no-untyped-call]
