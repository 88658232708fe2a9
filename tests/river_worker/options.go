package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// options says what load this worker makes and how it reaches the database. The address comes from
// DATABASE_URL, so that a password stands in no process list.
type options struct {
	databaseURL    string
	schema         string
	migrateOnly    bool
	metricsAddress string
	poolMetrics    string
	debug          bool

	pool        int
	execMode    string
	pollOnly    bool
	fetchPoll   time.Duration
	rescueAfter time.Duration
	stopTimeout time.Duration

	queues    queues
	kinds     int
	rate      float64
	insertTx  float64
	burstJobs int
	burstEach time.Duration

	job jobOptions
}

// jobOptions is what one job does. The control endpoint replaces it while the worker runs.
type jobOptions struct {
	Seconds       float64
	SecondsJitter float64
	LongShare     float64
	LongSeconds   float64
	Hold          bool
	CompleteTx    float64
	FailShare     float64
}

// queues maps a queue's name to its MaxWorkers, in the order given.
type queues struct {
	names   []string
	workers map[string]int
}

func (q *queues) String() string { return strings.Join(q.names, ",") }

// Set reads "default=20,mail=5".
func (q *queues) Set(text string) error {
	q.names, q.workers = nil, map[string]int{}
	for _, part := range strings.Split(text, ",") {
		name, count, found := strings.Cut(strings.TrimSpace(part), "=")
		workers, err := strconv.Atoi(count)
		if !found || err != nil || name == "" || workers < 1 {
			return fmt.Errorf("%q is not NAME=WORKERS", part)
		}
		if _, twice := q.workers[name]; twice {
			return fmt.Errorf("queue %q is named twice", name)
		}
		q.names = append(q.names, name)
		q.workers[name] = workers
	}
	return nil
}

var execModes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

func parseOptions(arguments []string, output io.Writer) (*options, error) {
	o := &options{databaseURL: os.Getenv("DATABASE_URL")}
	workers := 20
	flags := flag.NewFlagSet("river_worker", flag.ContinueOnError)
	flags.SetOutput(output)

	flags.StringVar(&o.schema, "schema", "", "schema of River's tables (default: the search path)")
	flags.BoolVar(&o.migrateOnly, "migrate-only", false, "run River's own migrations and end")
	flags.StringVar(&o.metricsAddress, "metrics-address", "127.0.0.1:0", "where /metrics and the control endpoint listen")
	flags.StringVar(&o.poolMetrics, "pool-metrics", "ibm", "names of the pool's metrics: ibm (IBM/pgxpoolprometheus) or otelpgx (exaring/otelpgx)")
	flags.BoolVar(&o.debug, "debug", false, "log River's debug lines too")

	flags.IntVar(&o.pool, "pool", 10, "connections in River's pool")
	flags.StringVar(&o.execMode, "exec-mode", "cache_statement", "pgx's default_query_exec_mode")
	flags.BoolVar(&o.pollOnly, "poll-only", false, "no LISTEN, as behind PgBouncer in transaction mode")
	flags.DurationVar(&o.fetchPoll, "fetch-poll", river.FetchPollIntervalDefault, "how often jobs are fetched when nothing tells of new ones")
	flags.DurationVar(&o.rescueAfter, "rescue-after", time.Hour, "when a job that is still running counts as stuck")
	flags.DurationVar(&o.stopTimeout, "stop-timeout", 3*time.Second, "how long a stop waits for jobs before it cancels them")

	flags.Var(&o.queues, "queues", "NAME=WORKERS,… (default: default=--workers)")
	flags.IntVar(&workers, "workers", workers, "workers of the queue default, without --queues")
	flags.IntVar(&o.kinds, "kinds", 1, fmt.Sprintf("how many kinds of job, at most %d", len(kinds)))
	flags.Float64Var(&o.rate, "rate", 50, "jobs inserted per second")
	flags.Float64Var(&o.insertTx, "insert-tx", 0, "transactions per second of a service that shares the pool: a row of its own and a job by InsertTx")
	flags.IntVar(&o.burstJobs, "burst-jobs", 0, "jobs of one burst")
	flags.DurationVar(&o.burstEach, "burst-each", 30*time.Second, "time between bursts")

	flags.Float64Var(&o.job.Seconds, "job-seconds", 0.25, "how long a job runs")
	flags.Float64Var(&o.job.SecondsJitter, "job-seconds-jitter", 0, "share by which that varies, 0 to 1")
	flags.Float64Var(&o.job.LongShare, "long-jobs", 0, "share of long jobs, 0 to 1")
	flags.Float64Var(&o.job.LongSeconds, "long-job-seconds", 600, "how long a long job runs")
	flags.BoolVar(&o.job.Hold, "hold", false, "each job keeps a connection of the pool for its whole run")
	flags.Float64Var(&o.job.CompleteTx, "complete-tx", 0, "share of jobs that end with JobCompleteTx in a transaction with work of their own")
	flags.Float64Var(&o.job.FailShare, "fail-jobs", 0, "share of jobs that end with an error and are retried, 0 to 1")

	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if o.queues.names == nil {
		o.queues = queues{names: []string{"default"}, workers: map[string]int{"default": workers}}
	}
	return o, o.check(flags.Args())
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.databaseURL == "":
		return errors.New("DATABASE_URL is not set")
	case o.pool < 1:
		return fmt.Errorf("--pool %d: at least 1", o.pool)
	case o.kinds < 1 || o.kinds > len(kinds):
		return fmt.Errorf("--kinds %d: 1 to %d", o.kinds, len(kinds))
	case o.rate < 0 || o.insertTx < 0:
		return errors.New("--rate and --insert-tx are not negative")
	case o.burstEach <= 0:
		return errors.New("--burst-each is positive")
	case o.poolMetrics != "ibm" && o.poolMetrics != "otelpgx":
		return fmt.Errorf("--pool-metrics %q: ibm or otelpgx", o.poolMetrics)
	}
	if _, known := execModes[o.execMode]; !known {
		return fmt.Errorf("--exec-mode %q is not one of pgx's", o.execMode)
	}
	return o.job.check()
}

func (j *jobOptions) check() error {
	if j.Seconds < 0 || j.LongSeconds < 0 {
		return errors.New("a job's seconds are not negative")
	}
	for _, share := range []float64{j.SecondsJitter, j.LongShare, j.CompleteTx, j.FailShare} {
		if share < 0 || share > 1 {
			return fmt.Errorf("%v is not a share from 0 to 1", share)
		}
	}
	return nil
}
