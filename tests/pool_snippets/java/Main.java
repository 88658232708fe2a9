// A River worker's process that exposes its HikariCP pool with Micrometer's Prometheus registry.
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.net.InetSocketAddress;

public class Main {
  public static void main(String[] arguments) throws Exception {
    var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    config.setPoolName("app");
    config.setMaximumPoolSize(25);
    config.setMetricRegistry(registry);
    var pool = new HikariDataSource(config);
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 2112), 0);
    server.createContext("/metrics", exchange -> {
      var text = registry.scrape().getBytes();
      exchange.getResponseHeaders().set("Content-Type", "text/plain; version=0.0.4");
      exchange.sendResponseHeaders(200, text.length);
      exchange.getResponseBody().write(text);
      exchange.close();
    });
    server.start();
    // here the River client is made with pool, and started
  }
}
