//! A real River worker in Rust for tests, demonstration and benchmarks, beside the one in Go (`tests/river_worker`):
//! it inserts jobs, works them, and lets a test take its pool away. River's log goes to standard output.

mod control;
mod log;
mod options;
mod work;

use std::sync::Arc;
use std::time::Duration;

use riverqueue::database::{PostgresDatabase, SchemaName};
use riverqueue::migrate::PostgresMigrator;
use riverqueue::sqlx::postgres::PgPoolOptions;
use riverqueue::sqlx::{self, AssertSqlSafe, PgPool};
use riverqueue::{BoxError, Client, MaintenanceConfig, QueueConfig, RunHandle};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;

use options::Options;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("river_worker_rust: {reason}");
            return 2.into();
        }
    };
    let level = if options.debug { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let lines = tracing_subscriber::registry().with(log::JsonLines(level));
    if tracing::subscriber::set_global_default(lines).is_err() {
        unreachable!("nothing has set a subscriber before");
    }
    if let Err(error) = run(options).await {
        tracing::error!(error = %error, "Worker: ended");
        return 1.into();
    }
    0.into()
}

async fn run(options: Options) -> Result<(), BoxError> {
    let pool = PgPoolOptions::new()
        .max_connections(options.pool)
        .connect(&options.database_url)
        .await
        .map_err(|error| without_url(error, &options.database_url))?;
    let schema = options.schema.as_deref().map(SchemaName::new).transpose()?;
    if options.migrate_only {
        return migrate(pool, schema).await;
    }
    let shared = Arc::new(work::Shared::new(&options));
    let mut database = PostgresDatabase::new(pool.clone());
    if let Some(schema) = schema {
        database = database.with_schema(schema);
    }
    let mut builder = Client::builder(database)
        .workers(work::workers(pool.clone(), Arc::clone(&shared))?)
        .maintenance(MaintenanceConfig::default().with_rescue_after(options.rescue_after))
        .without_job_timeout(); // a long job is long on purpose
    for (name, workers) in &options.queues {
        let queue = QueueConfig::new(*workers).with_fetch_poll_interval(options.fetch_poll);
        builder = builder.queue(name, queue);
    }
    if options.poll_only {
        builder = builder.without_notifications();
    }
    let client = builder.build()?;
    let control = Arc::new(control::Control::new(pool, client.clone(), Arc::clone(&shared)));
    let listener = TcpListener::bind(&options.metrics_address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(Arc::clone(&control).serve(listener));

    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut river = client.start()?;
    river.wait_ready().await?;
    tracing::info!(address = %address, "Worker: ready");

    let mut inserters = tokio::task::JoinSet::new();
    inserters.spawn(work::insert_steadily(client.clone(), Arc::clone(&shared)));
    if options.burst_jobs > 0 {
        inserters.spawn(work::insert_bursts(client, shared, options.burst_jobs, options.burst_each));
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        ended = river.wait() => return Ok(ended?),
    }
    inserters.abort_all();
    control.release().await;
    stop(&mut river, options.stop_timeout).await
}

/// Lets jobs end, cancels those that don't in time, and does not wait for a database that hangs.
async fn stop(river: &mut RunHandle, limit: Duration) -> Result<(), BoxError> {
    if let Ok(stopped) = tokio::time::timeout(limit, river.stop()).await {
        return Ok(stopped?);
    }
    if let Ok(stopped) = tokio::time::timeout(limit, river.stop_and_cancel()).await {
        return Ok(stopped?);
    }
    tracing::warn!("Worker: stopped without waiting for the database");
    Ok(())
}

async fn migrate(pool: PgPool, schema: Option<SchemaName>) -> Result<(), BoxError> {
    let mut migrator = PostgresMigrator::new(pool.clone());
    if let Some(schema) = schema {
        let quoted = schema.as_deref().unwrap_or_default().replace('"', "\"\"");
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{quoted}\""))).execute(&pool).await?;
        migrator = migrator.with_schema(schema);
    }
    migrator.migrate_up().await?;
    Ok(())
}

/// A configuration error of sqlx may repeat the URL, which has the password.
fn without_url(error: sqlx::Error, url: &str) -> BoxError {
    match error.to_string() {
        text if text.contains(url) => "DATABASE_URL is not a PostgreSQL URL".into(),
        text => text.into(),
    }
}
