// A River worker's process that exposes its pg-pool with node-postgres-prometheus-exporter.
import { createServer } from "node:http";
import { monitorPgPool } from "@christiangalsterer/node-postgres-prometheus-exporter";
import pg from "pg";
import { register } from "prom-client";

const url = new URL(process.env.DATABASE_URL);
const pool = new pg.Pool({
  host: url.hostname, // with a connectionString instead, there are no series
  port: Number(url.port || 5432),
  database: url.pathname.slice(1),
  user: decodeURIComponent(url.username),
  password: decodeURIComponent(url.password),
  max: 25,
});
monitorPgPool(pool, register);
await pool.query("SELECT 1"); // how many are in use is known from the first connection on
createServer(async (_, response) => {
  response.setHeader("Content-Type", register.contentType);
  response.end(await register.metrics());
}).listen(2112, "127.0.0.1");
// here the River client is made with pool, and started
