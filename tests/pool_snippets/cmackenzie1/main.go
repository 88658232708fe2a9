// A River worker's process that exposes its pool with cmackenzie1/pgxpool-prometheus.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	pgxpool_prometheus "github.com/cmackenzie1/pgxpool-prometheus"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(pgxpool_prometheus.NewPgxPoolStatsCollector(pool, "app"))
	http.Handle("/metrics", promhttp.Handler())
	// here the River client is made with riverpgxv5.New(pool), and started
	log.Fatal(http.ListenAndServe("127.0.0.1:2112", nil))
}
