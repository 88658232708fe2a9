// A River worker's process that exposes its pool with IBM/pgxpoolprometheus.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/IBM/pgxpoolprometheus"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(pgxpoolprometheus.NewCollector(pool, map[string]string{"db_name": "app"}))
	http.Handle("/metrics", promhttp.Handler())
	// here the River client is made with riverpgxv5.New(pool), and started
	log.Fatal(http.ListenAndServe("127.0.0.1:2112", nil))
}
