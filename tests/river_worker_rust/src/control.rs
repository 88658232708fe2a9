//! How a test changes the running worker over HTTP, and the pool's numbers.
//!
//! POST `/leak?n=9[&transaction=true]` takes connections out of River's pool and keeps them, `/cancel` cancels running
//! jobs in a transaction that stays open, `/release` gives the connections back and rolls that transaction back, `/jobs`
//! (a JSON object with `Seconds` or `Hold`) changes what jobs do, `/rate?per_second=50` the rate of insertion. GET `/metrics` has what sqlx tells of the pool, under OpenTelemetry's names: it counts no waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use riverqueue::sqlx::pool::PoolConnection;
use riverqueue::sqlx::{self, PgPool, Postgres, Transaction};
use riverqueue::{BoxError, Client, JobListParams, JobState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::options::read;
use crate::work::Shared;

const LEAK_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: usize = 16 * 1024;

pub struct Control {
    pool: PgPool,
    client: Client,
    shared: Arc<Shared>,
    leaked: Mutex<Vec<PoolConnection<Postgres>>>,
    open: Mutex<Option<Transaction<'static, Postgres>>>,
}

type Answer = Result<String, (&'static str, String)>;

fn refused(reason: impl ToString) -> (&'static str, String) {
    ("400 Bad Request", reason.to_string())
}

fn failed(reason: impl ToString) -> (&'static str, String) {
    ("503 Service Unavailable", reason.to_string())
}

impl Control {
    pub fn new(pool: PgPool, client: Client, shared: Arc<Shared>) -> Self {
        Self { pool, client, shared, leaked: Mutex::default(), open: Mutex::default() }
    }

    /// Serves one request a connection, for as long as the worker runs.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let control = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = control.answer(stream).await {
                    tracing::warn!(error = %error, "Worker: request failed");
                }
            });
        }
    }

    async fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufStream::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < REQUEST_LIMIT {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; usize::min(length, REQUEST_LIMIT)];
        stream.read_exact(&mut body).await?;
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let (status, text) = match self.act(method, path, &query, &body).await {
            Ok(text) => ("200 OK", text),
            Err(failure) => failure,
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    }

    async fn act(&self, method: &str, path: &str, query: &HashMap<&str, &str>, body: &[u8]) -> Answer {
        match (method, path) {
            ("GET", "/metrics") => Ok(self.metrics()),
            ("POST", "/leak") => self.leak(query).await,
            ("POST", "/cancel") => self.cancel().await.map(|count| count.to_string()).map_err(failed),
            ("POST", "/release") => Ok(self.release().await.to_string()),
            ("POST", "/jobs") => {
                self.shared.change(body).map_err(refused)?;
                Ok(String::new())
            }
            ("POST", "/rate") => {
                let rate = query.get("per_second").copied().unwrap_or("");
                self.shared.set_rate(read(rate).map_err(refused)?);
                Ok(String::new())
            }
            _ => Err(("404 Not Found", format!("the Rust worker has no {method} {path}"))),
        }
    }

    async fn leak(&self, query: &HashMap<&str, &str>) -> Answer {
        let count: usize = read(query.get("n").copied().unwrap_or("")).map_err(refused)?;
        let transaction = query.get("transaction") == Some(&"true");
        let mut leaked = self.leaked.lock().await;
        let take = async {
            for _ in 0..count {
                let mut connection = self.pool.acquire().await?;
                if transaction {
                    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
                }
                leaked.push(connection);
            }
            Ok::<_, sqlx::Error>(())
        };
        let taken = match tokio::time::timeout(LEAK_TIMEOUT, take).await {
            Ok(Ok(())) => return Ok(leaked.len().to_string()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no free connection within 5 s".to_owned(),
        };
        Err(failed(format!("{} leaked, then: {taken}", leaked.len())))
    }

    /// Cancels the running jobs of all workers and returns how many there were; with none, nothing stays open.
    async fn cancel(&self) -> Result<usize, BoxError> {
        let mut open = self.open.lock().await;
        if open.is_some() {
            return Err("a transaction is open already".into());
        }
        let mut transaction = self.pool.begin().await?;
        let running = JobListParams::default().states([JobState::Running]);
        let found = self.client.jobs().list(running).tx(&mut transaction).await?;
        for job in &found.jobs {
            self.client.jobs().cancel(job.id).tx(&mut transaction).await?;
        }
        let count = found.jobs.len();
        if count > 0 {
            *open = Some(transaction);
        }
        Ok(count)
    }

    /// Gives every leaked connection back, rolls back what `cancel` began, and returns how many were leaked.
    pub async fn release(&self) -> usize {
        self.open.lock().await.take(); // dropped, it is rolled back
        std::mem::take(&mut *self.leaked.lock().await).len()
    }

    fn metrics(&self) -> String {
        let (size, idle) = (self.pool.size() as usize, self.pool.num_idle());
        let pool = "db_client_connection_pool_name=\"river\"";
        format!(
            "# TYPE db_client_connection_count gauge\n\
             db_client_connection_count{{{pool},db_client_connection_state=\"idle\"}} {idle}\n\
             db_client_connection_count{{{pool},db_client_connection_state=\"used\"}} {}\n\
             # TYPE db_client_connection_max gauge\n\
             db_client_connection_max{{{pool}}} {}\n",
            size.saturating_sub(idle),
            self.pool.options().get_max_connections(),
        )
    }
}
