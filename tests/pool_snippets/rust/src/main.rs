// A River worker's process that exposes its sqlx pool, under the names that river-exporter reads.
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The pool in Prometheus' text format: add it to what your process exposes already.
fn pool_metrics(pool: &PgPool) -> String {
    let (size, idle) = (pool.size(), pool.num_idle());
    let max = pool.options().get_max_connections();
    format!(
        "# TYPE sqlx_pool_connections gauge\nsqlx_pool_connections {size}\n\
         # TYPE sqlx_pool_idle_connections gauge\nsqlx_pool_idle_connections {idle}\n\
         # TYPE sqlx_pool_max_connections gauge\nsqlx_pool_max_connections {max}\n"
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let pool = PgPoolOptions::new().max_connections(25).connect(&url).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:2112").await?;
    // here the River client is made with pool, and started
    loop {
        let (mut client, _) = listener.accept().await?;
        client.read(&mut [0; 4096]).await?;
        let text = pool_metrics(&pool);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
        client.write_all((head + &text).as_bytes()).await?;
    }
}
