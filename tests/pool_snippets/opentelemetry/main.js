// A River worker's process that exposes its pg-pool with OpenTelemetry's instrumentation and Prometheus exporter.
const { PrometheusExporter } = require("@opentelemetry/exporter-prometheus");
const { PgInstrumentation } = require("@opentelemetry/instrumentation-pg");
const { MeterProvider } = require("@opentelemetry/sdk-metrics");

const reader = new PrometheusExporter({ host: "127.0.0.1", port: 2112 });
new PgInstrumentation().setMeterProvider(new MeterProvider({ readers: [reader] })); // before pg is loaded
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 25 });
pool.query("SELECT 1"); // the pool is known from its first connection on
// here the River client is made with pool, and started
