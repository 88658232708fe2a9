// Both connections of a pool are held while a third acquire times out: what the metrics are before and after it.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.sql.SQLTransientConnectionException;

public class Held {
  public static void main(String[] arguments) throws Exception {
    var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    var config = new HikariConfig();
    config.setJdbcUrl(System.getenv("JDBC_URL"));
    config.setMaximumPoolSize(2);
    config.setConnectionTimeout(500);
    config.setMetricRegistry(registry);
    try (var pool = new HikariDataSource(config); var one = pool.getConnection(); var two = pool.getConnection()) {
      System.out.println(registry.scrape());
      System.out.println("# then");
      try {
        pool.getConnection();
      } catch (SQLTransientConnectionException expected) {
        System.out.println(registry.scrape());
      }
    }
  }
}
