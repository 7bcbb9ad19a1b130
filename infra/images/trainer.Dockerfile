# The training programs' image: no Dagster beyond dagster-pipes.
# torch's wheels bring their CUDA libraries; the base image states which driver they need; older drivers refuse it.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04@sha256:f8ef28f579ea42a44b415d2c5d46f788e6a9b395c6c83f2929416e1fc192c143

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/master \
    HF_HOME=/tmp/huggingface
WORKDIR /opt/master

COPY requirements/trainer.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/trainer.txt

COPY resources resources
COPY assets/__init__.py assets/
COPY assets/training_programs assets/training_programs

USER 1000
# No entry point: the backends start it with their own command, which begins with `python`.
ENTRYPOINT []
CMD ["python", "-m", "assets.training_programs.fine_tuning"]
