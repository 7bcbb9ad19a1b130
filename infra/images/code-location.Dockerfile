# Dagster's webserver, daemon, code location and runs; no torch. Built from the project's folder, as docs/deploy-aws.md
# shows.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/master \
    DAGSTER_HOME=/opt/dagster/dagster_home \
    HOME=/tmp
WORKDIR /opt/master

COPY requirements/aws.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/aws.txt \
    && useradd --create-home --uid 1000 master \
    && install --directory --owner master "$DAGSTER_HOME" /opt/dagster/storage /opt/lake

COPY resources resources
COPY assets assets
COPY master_dagster master_dagster
# Helm and compose start the webserver by this name: replace Dagster's by ours, which checks Host and Origin.
RUN printf '#!/bin/sh\nexec python -m master_dagster.ui.webserver "$@"\n' > /usr/local/bin/dagster-webserver

USER 1000
EXPOSE 4000
# Helm and compose give their own command: the same image is webserver and daemon too.
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "master_dagster.definitions"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
