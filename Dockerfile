# The exporter's image: an interpreter, the wheel and its locked dependencies. No shell, no pip, no package manager.
#
# BASE is a slim Python, 3.11 or later, with pip. It serves for both stages: the first one builds in it, and the
# interpreter and libraries of the second are copied out of it. Nothing else of it stays.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
# Times of all files in the image. The same sources and the same base give the same files.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PYTHONHASHSEED=0 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock ./
RUN python3 -m pip install --quiet --no-compile --no-deps --require-hashes --only-binary=:all: \
    --target packages --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
ARG REVISION=unknown
ARG BRANCH=unknown
RUN printf '{"revision": "%s", "branch": "%s"}\n' "$REVISION" "$BRANCH" > exporter/build.json \
  && python3 -m pip wheel --quiet --no-deps --wheel-dir dist . \
  && python3 -m pip install --quiet --no-compile --no-deps --no-index --target packages dist/*.whl
COPY image/lay_out.py ./
RUN python3 lay_out.py --packages packages --tree /tree

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="river-exporter" \
      org.opencontainers.image.description="Prometheus exporter for River: how much of the batch completer's ten seconds is used, and by what" \
      org.opencontainers.image.source="https://github.com/river-exporter/river-exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /tree /
# One arena for malloc instead of eight a core: the exporter's few threads share it, and memory stays small.
ENV PATH=/usr/bin MALLOC_ARENA_MAX=1
USER 65532:65532
WORKDIR /
EXPOSE 10917
STOPSIGNAL SIGTERM
# A probe is an HTTP request of the kubelet to /-/healthy: nothing is executed in the container.
ENTRYPOINT ["/usr/bin/river-exporter"]
