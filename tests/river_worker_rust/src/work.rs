//! The jobs and the load: what is inserted, and what one job does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use riverqueue::sqlx::{self, PgPool};
use riverqueue::{BoxError, Client, InsertOpts, Job, JobArgs, WorkContext, WorkOutcome, Workers};
use serde::{Deserialize, Serialize};

use crate::options::Options;

const INSERT_TICK: Duration = Duration::from_millis(100);
const INSERT_TIMEOUT: Duration = Duration::from_secs(15);
const HOLD_LOOK: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "email")]
pub struct Email {
    recipient: String,
}

/// What the control endpoint changes while the worker runs; numbers as the bits of an f64.
pub struct Shared {
    rate: AtomicU64,
    seconds: AtomicU64,
    hold: AtomicBool,
    next: AtomicU64,
    queues: Vec<String>,
}

impl Shared {
    pub fn new(options: &Options) -> Self {
        Self {
            rate: AtomicU64::new(options.rate.to_bits()),
            seconds: AtomicU64::new(options.job_seconds.to_bits()),
            hold: AtomicBool::new(options.hold),
            next: AtomicU64::new(0),
            queues: options.queues.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    pub fn set_rate(&self, per_second: f64) {
        self.rate.store(per_second.to_bits(), Ordering::Relaxed);
    }

    /// Takes a JSON object with `Seconds`, `Hold` or both; any other key is refused.
    pub fn change(&self, body: &[u8]) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "PascalCase")]
        struct Jobs {
            seconds: Option<f64>,
            hold: Option<bool>,
        }
        let jobs: Jobs = serde_json::from_slice(body)?;
        if let Some(seconds) = jobs.seconds {
            self.seconds.store(seconds.to_bits(), Ordering::Relaxed);
        }
        if let Some(hold) = jobs.hold {
            self.hold.store(hold, Ordering::Relaxed);
        }
        Ok(())
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(f64::from_bits(self.seconds.load(Ordering::Relaxed)))
    }

    fn holding(&self) -> bool {
        self.hold.load(Ordering::Relaxed)
    }

    /// Takes the queues in turn.
    fn job(&self) -> (Email, InsertOpts) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let queue = &self.queues[number as usize % self.queues.len()];
        (Email { recipient: format!("user-{number}@example.org") }, InsertOpts::default().with_queue(queue))
    }
}

/// Registers the one kind of job: it sleeps, with a connection of River's pool in its hand while `Hold` is on.
pub fn workers(pool: PgPool, shared: Arc<Shared>) -> Result<Workers, riverqueue::Error> {
    let mut workers = Workers::new();
    workers.add_fn(move |_: WorkContext, _: Job<Email>| {
        let (pool, shared) = (pool.clone(), Arc::clone(&shared));
        async move {
            let duration = shared.duration();
            if shared.holding() {
                hold(&pool, &shared, duration).await?;
            } else {
                tokio::time::sleep(duration).await;
            }
            Ok::<_, BoxError>(WorkOutcome::Complete)
        }
    })?;
    Ok(workers)
}

async fn hold(pool: &PgPool, shared: &Shared, duration: Duration) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    sqlx::query("SELECT 1").execute(&mut *connection).await?;
    let end = Instant::now() + duration;
    while shared.holding() && Instant::now() < end {
        tokio::time::sleep(HOLD_LOOK.min(end - Instant::now())).await;
    }
    Ok(())
}

/// Inserts jobs at the rate in small batches; what a stall kept from being inserted is not made up for later.
pub async fn insert_steadily(client: Client, shared: Arc<Shared>) {
    let (mut due, mut last) = (0.0, Instant::now());
    loop {
        tokio::time::sleep(INSERT_TICK).await;
        let elapsed = last.elapsed().min(5 * INSERT_TICK);
        last = Instant::now();
        due += f64::from_bits(shared.rate.load(Ordering::Relaxed)) * elapsed.as_secs_f64();
        let count = due as usize;
        due -= count as f64;
        insert(&client, &shared, count).await;
    }
}

pub async fn insert_bursts(client: Client, shared: Arc<Shared>, count: usize, each: Duration) {
    loop {
        insert(&client, &shared, count).await;
        tokio::time::sleep(each).await;
    }
}

async fn insert(client: &Client, shared: &Shared, count: usize) {
    if count == 0 {
        return;
    }
    let jobs: Vec<(Email, InsertOpts)> = (0..count).map(|_| shared.job()).collect();
    let inserting = async { client.insert_many(jobs).await };
    match tokio::time::timeout(INSERT_TIMEOUT, inserting).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(error = %error, "Inserter: insert failed"),
        Err(_) => tracing::error!(error = "no answer within 15 s", "Inserter: insert failed"),
    }
}
