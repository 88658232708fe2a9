// river_worker is a real River worker for tests, demonstration and benchmarks: it inserts jobs, works them, and
// lets a test take its pool away. River's log goes to standard output as JSON lines.
//
// It is built with River 0.51 by go.mod, and with River 0.16 by -modfile=river016.mod -tags river016.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const ledgerTable = "river_worker_ledger"

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "river_worker:", err)
		os.Exit(2)
	}
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level})))
	if err := run(o); err != nil {
		slog.Error("Worker: ended", "err", err.Error())
		os.Exit(1)
	}
}

func run(o *options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	pool, err := openPool(ctx, o)
	if err != nil {
		return err
	}
	if o.migrateOnly {
		defer pool.Close()
		return migrate(ctx, pool, o.schema)
	}
	return work(ctx, pool, o)
}

func openPool(ctx context.Context, o *options) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(o.databaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL address") // pgx's own text may hold it
	}
	config.MaxConns = int32(o.pool)
	config.ConnConfig.DefaultQueryExecMode = execModes[o.execMode]
	setSearchPath(config, o.schema)
	return pgxpool.NewWithConfig(ctx, config)
}

func migrate(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	if schema != "" {
		if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
			return err
		}
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), migrateConfig(schema))
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func work(ctx context.Context, pool *pgxpool.Pool, o *options) error {
	ledger := pgx.Identifier{ledgerTable}
	if o.schema != "" {
		ledger = pgx.Identifier{o.schema, ledgerTable}
	}
	runner := &runner{pool: pool, ledger: ledger.Sanitize()}
	runner.options.Store(&o.job)
	if o.insertTx > 0 || o.job.CompleteTx > 0 {
		if err := runner.createLedger(ctx); err != nil {
			return err
		}
	}
	client, err := newClient(pool, runner, o)
	if err != nil {
		return err
	}
	load := &load{client: client, runner: runner, queues: o.queues.names, kinds: o.kinds}
	load.setRate(o.rate)
	control := &control{pool: pool, client: client, runner: runner, load: load}
	server, address, err := listen(pool, control, o)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := client.Start(context.Background()); err != nil {
		return err
	}
	slog.Info("Worker: ready", "address", address)

	inserters := startLoad(ctx, load, o)
	<-ctx.Done()
	control.releaseAll()
	inserters.Wait()
	return stopClient(client, o.stopTimeout)
}

func newClient(pool *pgxpool.Pool, runner *runner, o *options) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	for _, kind := range kinds {
		kind.register(workers, runner)
	}
	config := &river.Config{
		FetchPollInterval:    o.fetchPoll,
		JobTimeout:           -1, // a long job is long on purpose
		Logger:               slog.Default(),
		PollOnly:             o.pollOnly,
		Queues:               map[string]river.QueueConfig{},
		RescueStuckJobsAfter: o.rescueAfter,
		Workers:              workers,
	}
	for name, count := range o.queues.workers {
		config.Queues[name] = river.QueueConfig{MaxWorkers: count}
	}
	setSchema(config, o.schema)
	return river.NewClient(riverpgxv5.New(pool), config)
}

// listen serves /metrics and the control endpoint; the port that was chosen stands in the log.
func listen(pool *pgxpool.Pool, control *control, o *options) (*http.Server, string, error) {
	registry := prometheus.NewRegistry()
	if err := registerPool(registry, pool, o.poolMetrics); err != nil {
		return nil, "", err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	control.register(mux)
	listener, err := net.Listen("tcp", o.metricsAddress)
	if err != nil {
		return nil, "", err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	return server, listener.Addr().String(), nil
}

func startLoad(ctx context.Context, load *load, o *options) *sync.WaitGroup {
	inserters := &sync.WaitGroup{}
	inserters.Go(func() { load.insertSteadily(ctx) })
	if o.burstJobs > 0 {
		inserters.Go(func() { load.insertBursts(ctx, o.burstJobs, o.burstEach) })
	}
	if o.insertTx > 0 {
		inserters.Go(func() { load.serve(ctx, o.insertTx) })
	}
	return inserters
}

// stopClient lets jobs end, cancels those that don't in time, and does not wait for a database that hangs.
func stopClient(client *river.Client[pgx.Tx], timeout time.Duration) error {
	for _, stop := range []func(context.Context) error{client.Stop, client.StopAndCancel} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		err := stop(ctx)
		cancel()
		if err == nil {
			return nil
		}
	}
	slog.Warn("Worker: stopped without waiting for the database")
	return nil
}
