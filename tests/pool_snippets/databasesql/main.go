// A River worker's process that uses database/sql and exposes its pool with Prometheus' own collector.
package main

import (
	"database/sql"
	"log"
	"net/http"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(25) // without a limit there is no share of it to watch
	prometheus.MustRegister(collectors.NewDBStatsCollector(db, "app"))
	http.Handle("/metrics", promhttp.Handler())
	// here the River client is made with riverdatabasesql.New(db), and started
	log.Fatal(http.ListenAndServe("127.0.0.1:2112", nil))
}
