package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const leakTimeout = 5 * time.Second

// control is how a test changes the running worker: POST /leak?n=9[&transaction=true] takes connections out of
// River's pool and keeps them, /release gives them back, /jobs replaces what jobs do (a JSON object of
// jobOptions' fields, those left out stay), /rate?per_second=50 sets the rate of insertion.
type control struct {
	pool   *pgxpool.Pool
	runner *runner
	load   *load

	mutex  sync.Mutex
	leaked []*pgxpool.Conn
}

func (c *control) register(mux *http.ServeMux) {
	mux.HandleFunc("POST /leak", c.leak)
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

func (c *control) release(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, c.releaseAll())
}

// releaseAll gives every leaked connection back; pgxpool closes one that is still in a transaction.
func (c *control) releaseAll() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
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
