// Package pgxpool_prometheus stands in for github.com/cmackenzie1/pgxpool-prometheus where Go's module proxy does not
// give it out: what a worker calls, with the same type and two of its metrics (names of v0.7.0).
package pgxpool_prometheus

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// PgxPoolStatsCollector tells of a pool.
type PgxPoolStatsCollector struct {
	pool *pgxpool.Pool
	used *prometheus.Desc
	most *prometheus.Desc
}

// NewPgxPoolStatsCollector makes one, to be registered.
func NewPgxPoolStatsCollector(pool *pgxpool.Pool, name string) *PgxPoolStatsCollector {
	labels := prometheus.Labels{"db": name}
	return &PgxPoolStatsCollector{
		pool: pool,
		used: prometheus.NewDesc("pgx_pool_acquire_connections", "Connections in use", nil, labels),
		most: prometheus.NewDesc("pgx_pool_max_connections", "Connections there may be", nil, labels),
	}
}

// Describe is prometheus.Collector's.
func (c *PgxPoolStatsCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.used
	to <- c.most
}

// Collect is prometheus.Collector's.
func (c *PgxPoolStatsCollector) Collect(to chan<- prometheus.Metric) {
	now := c.pool.Stat()
	to <- prometheus.MustNewConstMetric(c.used, prometheus.GaugeValue, float64(now.AcquiredConns()))
	to <- prometheus.MustNewConstMetric(c.most, prometheus.GaugeValue, float64(now.MaxConns()))
}
