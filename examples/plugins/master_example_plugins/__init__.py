"""Plug-ins for MASTER on Dagster."""
