package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

const (
	insertTick    = 100 * time.Millisecond
	insertTimeout = 15 * time.Second
)

// load inserts the jobs that this worker then works.
type load struct {
	client *river.Client[pgx.Tx]
	runner *runner
	queues []string
	kinds  int
	rate   atomic.Uint64 // jobs per second, as the bits of a float64
	next   atomic.Int64
}

func (l *load) setRate(rate float64) { l.rate.Store(math.Float64bits(rate)) }

// insertSteadily inserts --rate jobs per second in small batches. What a stall kept from being inserted is
// not made up for later: a stopped service does not send its requests twice.
func (l *load) insertSteadily(ctx context.Context) {
	due, last := 0.0, time.Now()
	for every(ctx, insertTick) {
		elapsed := min(time.Since(last), 5*insertTick)
		last = time.Now()
		due += math.Float64frombits(l.rate.Load()) * elapsed.Seconds()
		count := int(due)
		due -= float64(count)
		l.insert(ctx, count)
	}
}

// insertBursts inserts count jobs at once, each interval.
func (l *load) insertBursts(ctx context.Context, count int, interval time.Duration) {
	for {
		l.insert(ctx, count)
		if !every(ctx, interval) {
			return
		}
	}
}

// serve is a service that shares River's pool: transactions with a row of its own and a job, each in its own time.
func (l *load) serve(ctx context.Context, rate float64) {
	transactions := sync.WaitGroup{}
	defer transactions.Wait()
	for every(ctx, time.Duration(float64(time.Second)/rate)) {
		transactions.Go(func() { l.transaction(ctx) })
	}
}

func (l *load) transaction(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	err := pgx.BeginFunc(limited, l.runner.pool, func(tx pgx.Tx) error {
		params := l.job()
		result, err := l.client.InsertTx(limited, tx, params.Args, params.InsertOpts)
		if err != nil {
			return err
		}
		return l.runner.book(limited, tx, result.Job.ID)
	})
	logFailure(ctx, "Service: transaction failed", err)
}

func (l *load) insert(ctx context.Context, count int) {
	if count == 0 {
		return
	}
	jobs := make([]river.InsertManyParams, count)
	for i := range jobs {
		jobs[i] = l.job()
	}
	limited, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	_, err := l.client.InsertManyFast(limited, jobs)
	logFailure(ctx, "Inserter: insert failed", err)
}

// job takes queues and kinds in turn, so that each combination gets its share.
func (l *load) job() river.InsertManyParams {
	number := int(l.next.Add(1))
	return river.InsertManyParams{
		Args:       kinds[number/len(l.queues)%l.kinds].arguments(fmt.Sprintf("user-%d@example.org", number)),
		InsertOpts: &river.InsertOpts{Queue: l.queues[number%len(l.queues)]},
	}
}

func logFailure(ctx context.Context, message string, err error) {
	if err != nil && ctx.Err() == nil {
		slog.Error(message, "err", err.Error())
	}
}

// every waits one interval; false when the worker is asked to stop.
func every(ctx context.Context, interval time.Duration) bool {
	return sleep(ctx, interval) == nil
}
