package main

import (
	"github.com/IBM/pgxpoolprometheus"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// registerPool exposes the pool's statistics under the names of the library chosen, as a user of River would.
func registerPool(registry *prometheus.Registry, pool *pgxpool.Pool, names string) error {
	if names == "ibm" {
		return registry.Register(pgxpoolprometheus.NewCollector(pool, map[string]string{"db_name": "river"}))
	}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return err
	}
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	return otelpgx.RecordStats(pool, otelpgx.WithStatsMeterProvider(provider))
}
