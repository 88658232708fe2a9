package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

const leakTimeout = 5 * time.Second

// control is how a test changes the running worker: POST /leak?n=9[&transaction=true] takes connections out of
// River's pool and keeps them, /cancel cancels running jobs in a transaction that stays open, /release gives the
// connections back and rolls that transaction back, /jobs replaces what jobs do (a JSON object of
// jobOptions' fields, those left out stay), /rate?per_second=50 sets the rate of insertion.
type control struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	runner *runner
	load   *load

	mutex  sync.Mutex
	leaked []*pgxpool.Conn
	open   pgx.Tx
}

func (c *control) register(mux *http.ServeMux) {
	mux.HandleFunc("POST /leak", c.leak)
	mux.HandleFunc("POST /cancel", c.cancel)
	mux.HandleFunc("POST /release", c.release)
	mux.HandleFunc("POST /jobs", c.jobs)
	mux.HandleFunc("POST /rate", c.rate)
}

func (c *control) leak(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || count < 1 {
		http.Error(w, "n: how many connections, at least 1", http.StatusBadRequest)
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), leakTimeout)
	defer cancel()
	for range count {
		if err := c.leakOne(ctx, r.URL.Query().Get("transaction") == "true"); err != nil {
			http.Error(w, fmt.Sprintf("%d leaked, then: %v", len(c.leaked), err), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, len(c.leaked))
}

func (c *control) leakOne(ctx context.Context, transaction bool) error {
	connection, err := c.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	c.leaked = append(c.leaked, connection)
	if transaction {
		_, err = connection.Exec(ctx, "BEGIN")
	}
	return err
}

// cancel answers how many running jobs it cancelled; with none, no transaction stays open.
func (c *control) cancel(w http.ResponseWriter, r *http.Request) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open != nil {
		http.Error(w, "a transaction is open already", http.StatusConflict)
		return
	}
	cancelled, err := c.cancelRunning(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, cancelled)
}

func (c *control) cancelRunning(ctx context.Context) (cancelled int, err error) {
	tx, err := c.pool.Begin(context.Background()) // outlives the request
	if err != nil {
		return 0, err
	}
	defer func() {
		if cancelled > 0 && err == nil {
			c.open = tx
			return
		}
		tx.Rollback(context.Background())
	}()
	running := river.NewJobListParams().States(rivertype.JobStateRunning)
	found, err := c.client.JobListTx(ctx, tx, running)
	if err != nil {
		return 0, err
	}
	for _, job := range found.Jobs {
		if _, err := c.client.JobCancelTx(ctx, tx, job.ID); err != nil {
			return cancelled, err
		}
		cancelled++
	}
	return cancelled, nil
}

func (c *control) release(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, c.releaseAll())
}

// releaseAll gives every leaked connection back; pgxpool closes one that is still in a transaction.
func (c *control) releaseAll() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open != nil {
		c.open.Rollback(context.Background())
		c.open = nil
	}
	count := len(c.leaked)
	for _, connection := range c.leaked {
		connection.Release()
	}
	c.leaked = nil
	return count
}

func (c *control) jobs(w http.ResponseWriter, r *http.Request) {
	changed := *c.runner.options.Load()
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&changed)
	if err == nil {
		err = changed.check()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.runner.options.Store(&changed)
}

func (c *control) rate(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.ParseFloat(r.URL.Query().Get("per_second"), 64)
	if err != nil || rate < 0 {
		http.Error(w, "per_second: jobs inserted per second, not negative", http.StatusBadRequest)
		return
	}
	c.load.setRate(rate)
}
