package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// A kind is a type of its own, as River asks each type of arguments for the kind of its zero value.
type kind interface{ name() string }

type (
	email   struct{}
	invoice struct{}
	report  struct{}
	webhook struct{}
)

func (email) name() string   { return "email" }
func (invoice) name() string { return "invoice" }
func (report) name() string  { return "report" }
func (webhook) name() string { return "webhook" }

// arguments are what a job of kind K carries: enough text to be a plausible row.
type arguments[K kind] struct {
	Recipient string `json:"recipient"`
}

// Kind is River's name for this type of job.
func (arguments[K]) Kind() string {
	var k K
	return k.name()
}

// kinds makes the arguments of a new job and registers the worker, for each kind there is.
var kinds = []struct {
	arguments func(recipient string) river.JobArgs
	register  func(*river.Workers, *runner)
}{
	kindOf[email](), kindOf[invoice](), kindOf[report](), kindOf[webhook](),
}

func kindOf[K kind]() struct {
	arguments func(recipient string) river.JobArgs
	register  func(*river.Workers, *runner)
} {
	return struct {
		arguments func(recipient string) river.JobArgs
		register  func(*river.Workers, *runner)
	}{
		arguments: func(recipient string) river.JobArgs { return arguments[K]{Recipient: recipient} },
		register: func(workers *river.Workers, runner *runner) {
			river.AddWorker(workers, &worker[K]{runner: runner})
		},
	}
}

// runner is what workers of all kinds share.
type runner struct {
	pool    *pgxpool.Pool
	ledger  string
	options atomic.Pointer[jobOptions]
}

type worker[K kind] struct {
	river.WorkerDefaults[arguments[K]]
	runner *runner
}

// Work runs one job: it sleeps, or sleeps with a connection in its hand, or works in a transaction that
// also completes the job, or fails.
func (w *worker[K]) Work(ctx context.Context, job *river.Job[arguments[K]]) error {
	options := w.runner.options.Load()
	seconds := options.duration()
	switch {
	case rand.Float64() < options.FailShare:
		return errors.New("failed as it was told to")
	case rand.Float64() < options.CompleteTx:
		return pgx.BeginFunc(ctx, w.runner.pool, func(tx pgx.Tx) error {
			if err := w.runner.book(ctx, tx, job.ID); err != nil {
				return err
			}
			if err := sleep(ctx, seconds); err != nil {
				return err
			}
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
			return err
		})
	case options.Hold:
		return w.runner.pool.AcquireFunc(ctx, func(connection *pgxpool.Conn) error {
			if _, err := connection.Exec(ctx, "SELECT 1"); err != nil {
				return err
			}
			return w.runner.hold(ctx, seconds)
		})
	default:
		return sleep(ctx, seconds)
	}
}

// hold keeps the job running until its time is over or the control endpoint ends all holding.
func (r *runner) hold(ctx context.Context, duration time.Duration) error {
	const look = 50 * time.Millisecond
	end := time.Now().Add(duration)
	for r.options.Load().Hold && time.Now().Before(end) {
		if err := sleep(ctx, min(look, time.Until(end))); err != nil {
			return err
		}
	}
	return nil
}

// book writes a row into the ledger, the table that stands for the user's own work.
func (r *runner) book(ctx context.Context, tx pgx.Tx, jobID int64) error {
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (job_id) VALUES ($1)", r.ledger), jobID)
	return err
}

func (r *runner) createLedger(ctx context.Context) error {
	_, err := r.pool.Exec(ctx, fmt.Sprintf(
		"CREATE TABLE IF NOT EXISTS %s (job_id bigint NOT NULL, booked_at timestamptz NOT NULL DEFAULT now())", r.ledger))
	return err
}

func (j *jobOptions) duration() time.Duration {
	seconds := j.Seconds
	if rand.Float64() < j.LongShare {
		seconds = j.LongSeconds
	}
	seconds *= 1 + j.SecondsJitter*(2*rand.Float64()-1)
	return time.Duration(seconds * float64(time.Second))
}

func sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
