module github.com/cmackenzie1/pgxpool-prometheus

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.11.0
	github.com/prometheus/client_golang v1.25.0
)
