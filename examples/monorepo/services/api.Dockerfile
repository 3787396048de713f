# The service "api" of a repository with several.
#
#   cd examples/monorepo/services
#   strake build -f api.Dockerfile --build-context shared=../shared-lib --target test .
#   strake build -f api.Dockerfile --build-context shared=../shared-lib -t registry.example.com/api --push .

# BASE is the image with Python.
ARG BASE=docker.io/library/python:3.11.9-slim-bookworm

# code is what runs: no tests.
FROM ${BASE} AS code
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# "shared" is a folder outside this context; the command line says where.
COPY --from=shared --exclude=**/tests company ./company
# With --parents both files keep their folder.
COPY --parents config/defaults.json config/api.json ./
COPY --exclude=**/tests api ./api

# test adds the tests, and is built only when asked for.
FROM code AS test
COPY --parents api/tests ./
RUN python3 -m unittest discover --start-directory api/tests --top-level-directory .

# release is the image.
FROM code AS release
LABEL org.opencontainers.image.title="monorepo/api" \
      org.opencontainers.image.description="strake's example of a service in a monorepo"
USER 65534:65534
ENTRYPOINT ["python3", "-m", "api"]
