"""What Dagster loads: the graph of the deployment that the settings describe."""

import logging

from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.settings_folder import check_dagster_home
from resources.configuration import ConfigurationError

check_dagster_home()
deployment = load_deployment()
try:
    deployment.check_keys()
except ConfigurationError as error:  # a warning only: the process that serves the UI needs no keys, runs do
    logging.getLogger(__name__).warning("Runs that call models will fail: %s", error)
defs = build_definitions(deployment)
