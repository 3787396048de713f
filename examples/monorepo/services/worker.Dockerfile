# The service "worker" of a repository with several.
#
#   cd examples/monorepo/services
#   strake build -f worker.Dockerfile --build-context shared=../shared-lib --target test .
#   strake build -f worker.Dockerfile --build-context shared=../shared-lib -t registry.example.com/worker --push .

# BASE is the image with Python.
ARG BASE=docker.io/library/python:3.11.9-slim-bookworm

# code is what runs: the modules, wherever they are, but neither tests nor data for them.
FROM ${BASE} AS code
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=shared --exclude=**/tests company ./company
COPY --parents config/defaults.json config/worker.json ./
COPY --parents --exclude=**/test_*.py worker/**/*.py ./

# test adds the tests and their data, and is built only when asked for.
FROM code AS test
COPY --parents worker/tests worker/fixtures ./
RUN python3 -m unittest worker/tests/test_*.py

# release is the image.
FROM code AS release
LABEL org.opencontainers.image.title="monorepo/worker" \
      org.opencontainers.image.description="strake's example of a service in a monorepo"
USER 65534:65534
ENTRYPOINT ["python3", "-m", "worker"]
