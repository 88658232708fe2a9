//! The worker's flags: a part of those of `tests/river_worker`, spelled the same.

use std::time::Duration;

/// What load this worker makes and how it reaches the database. The URL comes from `DATABASE_URL`, so that a
/// password stands in no process list.
pub struct Options {
    pub database_url: String,
    pub schema: Option<String>,
    pub migrate_only: bool,
    pub metrics_address: String,
    pub debug: bool,
    pub pool: u32,
    pub poll_only: bool,
    pub fetch_poll: Duration,
    pub rescue_after: Duration,
    pub stop_timeout: Duration,
    /// Name and workers of each queue, in the order given; `--workers` of `default` without `--queues`.
    pub queues: Vec<(String, usize)>,
    pub workers: usize,
    pub rate: f64,
    pub burst_jobs: usize,
    pub burst_each: Duration,
    pub job_seconds: f64,
    pub hold: bool,
}

impl Options {
    /// Reads `--name=value` flags; a flag without a value is `true`.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            database_url: std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?,
            schema: None,
            migrate_only: false,
            metrics_address: "127.0.0.1:0".into(),
            debug: false,
            pool: 10,
            poll_only: false,
            fetch_poll: Duration::from_secs(1),
            rescue_after: Duration::from_secs(3600),
            stop_timeout: Duration::from_secs(3),
            queues: Vec::new(),
            workers: 20,
            rate: 50.0,
            burst_jobs: 0,
            burst_each: Duration::from_secs(30),
            job_seconds: 0.25,
            hold: false,
        };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let flag = argument.strip_prefix("--").ok_or(format!("unexpected argument {argument:?}"))?;
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    let separate = arguments.next_if(|next| !next.starts_with("--"));
                    (flag.to_owned(), separate.unwrap_or("true".into()))
                }
            };
            options.set(&name, &value).map_err(|reason| format!("--{name} {value:?}: {reason}"))?;
        }
        options.check()?;
        if options.queues.is_empty() {
            options.queues.push(("default".into(), options.workers));
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "schema" => self.schema = Some(value.to_owned()),
            "migrate-only" => self.migrate_only = read(value)?,
            "metrics-address" => self.metrics_address = value.to_owned(),
            "debug" => self.debug = read(value)?,
            "pool" => self.pool = read(value)?,
            "poll-only" => self.poll_only = read(value)?,
            "fetch-poll" => self.fetch_poll = duration(value)?,
            "rescue-after" => self.rescue_after = duration(value)?,
            "stop-timeout" => self.stop_timeout = duration(value)?,
            "queues" => self.queues = queues(value)?,
            "workers" => self.workers = read(value)?,
            "rate" => self.rate = read(value)?,
            "burst-jobs" => self.burst_jobs = read(value)?,
            "burst-each" => self.burst_each = duration(value)?,
            "job-seconds" => self.job_seconds = read(value)?,
            "hold" => self.hold = read(value)?,
            _ => return Err("the Rust worker has no such flag".into()),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.pool < 1 || self.workers < 1 {
            return Err("--pool and --workers are at least 1".into());
        }
        if !(self.rate >= 0.0 && self.job_seconds >= 0.0) {
            return Err("--rate and --job-seconds are not negative".into());
        }
        if self.burst_each.is_zero() {
            return Err("--burst-each is positive".into());
        }
        Ok(())
    }
}

pub fn read<T: std::str::FromStr>(value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error: T::Err| error.to_string())
}

/// Reads `default=20,mail=5`.
fn queues(value: &str) -> Result<Vec<(String, usize)>, String> {
    let parts = value.split(',').map(|part| match part.split_once('=') {
        Some((name, workers)) => Ok((name.trim().to_owned(), read(workers)?)),
        None => Err(format!("{part:?} is not NAME=WORKERS")),
    });
    parts.collect()
}

/// Reads a Go duration of one unit: `250ms`, `30s`, `10m`, `1h`.
fn duration(value: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    for (unit, seconds) in units {
        if let Some(number) = value.strip_suffix(unit) {
            if let Ok(number) = number.parse::<f64>() {
                return Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string());
            }
        }
    }
    Err("a duration reads 250ms, 30s, 10m or 1h".into())
}
