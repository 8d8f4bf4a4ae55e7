import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import poolmonitor.PoolMonitorReporter;

/**
 * A real pool of HikariCP that reports: some checkouts, of which one waits and one gives up. Says
 * "gave up", and answers each line of stdin with one, until stdin ends:
 *
 *   return    gives all connections back: "idle"
 *   hurry     checkouts in several threads at once: how many are out afterwards
 *   keep      one connection is out until they are given back: "kept"
 *   short     checkouts that take about half a millisecond: how many seconds all of them
 *   wait      one more that has to wait: "idle"
 *   begin     gives all back in a transaction, and lets some reports be due: "begun"
 *   rollback  ends these: "idle"
 *   second    a pool of one, without autocommit, whose name ends in 2: "opened"
 *
 * usage: HikariPoolClient URL NAME INTERVAL
 */
final class HikariPoolClient {
    private static final int SIZE = 3;
    private static final int HELD = 500; // ms, for which the one that waits has to


    private final List<Connection> held = new ArrayList<>();
    private final String url;
    private final String name;
    private final long interval;
    private final HikariDataSource pool;
    private final HikariConfig config = new HikariConfig(); // of both

    private HikariPoolClient(String url, String name, long interval) {
        this.url = url;
        this.name = name;
        this.interval = interval;
        pool = open(name, SIZE, true);
    }

    private HikariDataSource open(String application, int size, boolean autoCommit) {
        config.setJdbcUrl(url);
        config.setMaximumPoolSize(size);
        config.setConnectionTimeout(1000);
        config.setAutoCommit(autoCommit);
        return PoolMonitorReporter.open(config, application, interval);
    }

    /** It opens all by itself, which is nobody's wait then. */
    private void waitUntilOpen() throws InterruptedException {
        while (pool.getHikariPoolMXBean().getIdleConnections() < SIZE) {
            Thread.sleep(20);
        }
    }

    private void takeAll() throws SQLException {
        while (held.size() < SIZE) {
            held.add(pool.getConnection());
        }
    }

    private String giveBack() throws SQLException {
        for (Connection connection : held) {
            connection.close();
        }
        held.clear();
        return "idle";
    }

    /** All are out, and one more wants one. */
    private void waitForOne() throws Exception {
        takeAll();
        Connection first = held.remove(0);
        Thread later = new Thread(() -> {
            try {
                Thread.sleep(HELD);
                first.close();
            } catch (InterruptedException | SQLException problem) {
                throw new IllegalStateException(problem);
            }
        });
        later.start();
        held.add(pool.getConnection());
        later.join();
    }

    private String giveUp() {
        try {
            pool.getConnection();
            return "was not full";
        } catch (SQLException problem) {
            return "gave up";
        }
    }

    private void work() {
        for (int i = 0; i < 200; i++) {
            try (Connection connection = pool.getConnection(); Statement statement = connection.createStatement()) {
                statement.execute("SELECT 1");
            } catch (SQLException problem) {
                throw new IllegalStateException(problem);
            }
        }
    }

    private String hurry() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            threads.add(new Thread(this::work));
        }
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return String.valueOf(out());
    }

    /** A report that is under way comes back. */
    private int out() throws InterruptedException {
        int out = SIZE;
        for (int i = 0; i < 50 && out > 0; i++) {
            Thread.sleep(20);
            out = SIZE - pool.getHikariPoolMXBean().getIdleConnections();
        }
        return out;
    }

    private double shortly() throws SQLException {
        long nanos = 0;
        for (int i = 0; i < 100; i++) {
            Connection connection = pool.getConnection();
            long began = System.nanoTime();
            LockSupport.parkNanos(500_000);
            nanos += System.nanoTime() - began;
            connection.close();
        }
        return nanos / 1e9;
    }

    private void onAll(String sql) throws SQLException {
        takeAll();
        for (Connection connection : held) {
            try (Statement statement = connection.createStatement()) {
                statement.execute(sql);
            }
        }
        giveBack();
    }

    private String answer(String command) throws Exception {
        switch (command) {
            case "return":
                return giveBack();
            case "hurry":
                return hurry();
            case "keep":
                held.add(pool.getConnection());
                return "kept";
            case "short":
                return String.valueOf(shortly());
            case "wait":
                waitForOne();
                return giveBack();
            case "begin":
                onAll("BEGIN");
                Thread.sleep(5 * interval);
                return "begun";
            case "rollback":
                onAll("ROLLBACK");
                return "idle";
            case "second":
                open(name + "2", 1, false);
                return "opened";
            default:
                return "unknown";
        }
    }

    public static void main(String[] arguments) throws Exception {
        HikariPoolClient client = new HikariPoolClient(arguments[0], arguments[1], Long.parseLong(arguments[2]));
        client.waitUntilOpen();
        client.waitForOne();
        System.out.println(client.giveUp());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(client.answer(line));
        }
        client.pool.close();
        System.exit(0);
    }
}
