// A River worker's process that exposes its pool with exaring/otelpgx and OpenTelemetry's Prometheus exporter.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	reader, err := prometheus.New()
	if err != nil {
		log.Fatal(err)
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	if err := otelpgx.RecordStats(pool); err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", promhttp.Handler())
	// here the River client is made with riverpgxv5.New(pool), and started
	log.Fatal(http.ListenAndServe("127.0.0.1:2112", nil))
}
