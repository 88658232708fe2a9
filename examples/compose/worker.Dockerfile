# The River worker of this repository's tests: it inserts jobs, works them, and exposes its pool's statistics.
FROM docker.io/library/golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /river_worker .

FROM scratch
COPY --from=build /river_worker /river_worker
USER 65532:65532
ENTRYPOINT ["/river_worker"]
