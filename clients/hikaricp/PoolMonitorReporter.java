package poolmonitor; // or yours

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.metrics.IMetricsTracker;
import com.zaxxer.hikari.metrics.MetricsTrackerFactory;
import com.zaxxer.hikari.metrics.PoolStats;
import com.zaxxer.hikari.pool.HikariPool;
import com.zaxxer.hikari.util.ConcurrentBag;
import com.zaxxer.hikari.util.ConcurrentBag.IConcurrentBagEntry;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.postgresql.core.BaseConnection;
import org.postgresql.core.TransactionState;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reports what a HikariCP pool says of itself to pool_monitor.
 *
 * <pre>HikariDataSource pool = PoolMonitorReporter.open(config, "ems");</pre>
 *
 * in place of new HikariDataSource(config). The name is the application_name of the connections,
 * by which the server finds the pool. A MetricsTrackerFactory that config has is kept, and told
 * everything too.
 *
 * Every interval a thread sends a report, on a connection that is idle at that moment while nobody
 * waits for one; if none is, it looks again a moment later. It does not check one out, for which
 * HikariCP would first ask whether the connection is alive, which is a transaction and a use of the
 * session, or open one. It reserves an idle one, as HikariCP's own housekeeper does before it closes
 * it. That is not in its API: HikariPool.connectionBag and the connection of an entry are
 * private, so on the module path it needs --add-opens com.zaxxer.hikari/com.zaxxer.hikari.pool=
 * and your module. Where that fails, there are no reports.
 *
 * Whatever goes wrong is logged at level debug (logger pool_monitor) and otherwise ignored, and the
 * next try waits twice as long, up to an hour. The extension must be in the database that the
 * application logs in to.
 *
 * For HikariCP from 2.7 on, with pgjdbc and Java 11. Run with HikariCP 2.7.9, pgjdbc 42.5.5 and
 * Java 17; of 5 and 6 it uses only what their source has likewise.
 */
public final class PoolMonitorReporter implements MetricsTrackerFactory {
    private static final String REPORT =
        "SELECT pool_monitor.client_report(?::text, ?::int, ?::int, ?::int, ?::int, ?::int, ?::bigint, ?::bigint,"
            + " ?::float8, ?::bigint, ?::bigint, ?::bigint, ?::float8, ?::bigint, ?::float8)";
    private static final long LONGEST_PAUSE = 3_600_000; // ms, between tries that fail
    private static final long LONGEST_LOOK = 200; // ms, for an idle connection when a report is due
    private static final int LONGEST_REPORT = 5_000; // ms
    private static final long A_WAIT = 10_000_000; // ns, from which on a checkout is one that had to wait
    private static final Logger LOG = LoggerFactory.getLogger("pool_monitor");

    private final MetricsTrackerFactory next;
    private final long interval;
    private final Books books = new Books();
    private final CountDownLatch closed = new CountDownLatch(1);
    private int failures;

    private PoolMonitorReporter(MetricsTrackerFactory next, long interval) {
        this.next = next;
        this.interval = interval;
    }

    public static HikariDataSource open(HikariConfig config, String name) {
        return open(config, name, 15_000);
    }

    /** The interval is in milliseconds. */
    public static HikariDataSource open(HikariConfig config, String name, long interval) {
        MetricsTrackerFactory before = config.getMetricsTrackerFactory();
        PoolMonitorReporter reporter = new PoolMonitorReporter(before, interval);
        config.addDataSourceProperty("ApplicationName", name);
        config.setMetricsTrackerFactory(reporter);
        HikariDataSource source;
        try {
            source = new HikariDataSource(config);
        } finally {
            // of another pool with this config we would be told, too
            config.setMetricsTrackerFactory(before);
        }
        Thread thread = new Thread(() -> reporter.run(source), "pool_monitor");
        thread.setDaemon(true);
        thread.start();
        return source;
    }

    @Override
    public IMetricsTracker create(String poolName, PoolStats stats) {
        // the pool has opened its first one before it has a tracker
        books.creations.add(stats.getTotalConnections());
        return new Tracker(next == null ? new IMetricsTracker() {} : next.create(poolName, stats));
    }

    /** What the pool has done. */
    private static final class Books {
        private final LongAdder acquired = new LongAdder();
        private final LongAdder creations = new LongAdder();
        private final AtomicLong timeouts = new AtomicLong();
        private final LongAdder held = new LongAdder(); // ns
        private final ThreadLocal<Long> lastAcquired = new ThreadLocal<>();
        private final ThreadLocal<Long> lastWait = new ThreadLocal<>();
        private long waits;
        private long waited; // ns
        private long longest; // ns
        private long reports;
        private Report last = new Report();

        void acquired(long nanos) {
            acquired.increment();
            lastAcquired.set(System.nanoTime());
            if (nanos >= A_WAIT) {
                lastWait.set(nanos);
                addWait(1, nanos);
            }
        }

        /** Whole milliseconds, of which most checkouts take few: better is known of the last of this thread. */
        void released(long millis) {
            Long since = lastAcquired.get();
            long nanos = since == null ? -1 : System.nanoTime() - since;
            long whole = millis * 1_000_000;
            held.add(nanos >= whole && nanos < whole + 2_000_000 ? nanos : whole);
        }

        /** HikariCP has told of it as of a checkout, just before and in the same thread. */
        void timedOut() {
            timeouts.incrementAndGet();
            Long nanos = lastWait.get();
            if (nanos != null) {
                addWait(-1, -nanos);
            }
        }

        private synchronized void addWait(int number, long nanos) {
            waits += number;
            waited += nanos;
            longest = Math.max(longest, nanos);
        }

        /** Sums do not go down, also when one that times out was taken for a checkout before. */
        synchronized Report begin() {
            Report report = new Report();
            report.timeouts = timeouts.get();
            report.checkouts = Math.max(last.checkouts, acquired.sum() - report.timeouts);
            report.creations = creations.sum();
            report.held = held.sum();
            report.waits = Math.max(last.waits, waits);
            report.waited = Math.max(last.waited, waited);
            report.longest = longest;
            report.number = reports++;
            longest = 0;
            last = report;
            return report;
        }

        /** What the server refuses has not been heard; else nobody knows. */
        synchronized void failed(Report report, boolean refused) {
            longest = Math.max(longest, report.longest);
            reports -= refused ? 1 : 0;
        }
    }

    private static final class Report {
        long checkouts;
        long waits;
        long waited;
        long timeouts;
        long creations;
        long held;
        long longest;
        long number;
    }

    private final class Tracker implements IMetricsTracker {
        private final IMetricsTracker other;

        Tracker(IMetricsTracker other) {
            this.other = other;
        }

        @Override
        public void recordConnectionCreatedMillis(long millis) {
            books.creations.increment();
            other.recordConnectionCreatedMillis(millis);
        }

        @Override
        public void recordConnectionAcquiredNanos(long nanos) {
            books.acquired(nanos);
            other.recordConnectionAcquiredNanos(nanos);
        }

        @Override
        public void recordConnectionUsageMillis(long millis) {
            books.released(millis);
            other.recordConnectionUsageMillis(millis);
        }

        @Override
        public void recordConnectionTimeout() {
            books.timedOut();
            other.recordConnectionTimeout();
        }

        @Override
        public void close() {
            closed.countDown();
            other.close();
        }
    }

    private void run(HikariDataSource source) {
        long pause = interval;
        try {
            String process = processName();
            while (!closed.await(pause, TimeUnit.MILLISECONDS)) {
                pause = tryToReport(source, process) ? pauseAfter() : Math.min(interval, LONGEST_LOOK);
            }
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean tryToReport(HikariDataSource source, String process) {
        try {
            return reportIfIdle(source, process);
        } catch (Exception problem) {
            failures++;
            LOG.debug("no report", problem);
            return true;
        }
    }

    private long pauseAfter() {
        return Math.max(Math.min(interval << Math.min(failures, 20), LONGEST_PAUSE), interval);
    }

    /** The end of a host's name tells it from others. */
    private static String processName() {
        String host;
        try {
            host = InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException problem) {
            host = "unknown";
        }
        return host.substring(Math.max(host.length() - 36, 0)) + ":" + ProcessHandle.current().pid() + ":"
            + UUID.randomUUID().toString().substring(0, 8);
    }

    /** False: it has none that is idle, outside a transaction. */
    private boolean reportIfIdle(HikariDataSource source, String process) throws Exception {
        HikariPool pool = (HikariPool) source.getHikariPoolMXBean();
        if (pool == null || pool.getThreadsAwaitingConnection() > 0) {
            return false;
        }
        @SuppressWarnings("unchecked")
        ConcurrentBag<IConcurrentBagEntry> bag = (ConcurrentBag<IConcurrentBagEntry>) read(pool, "connectionBag");
        for (IConcurrentBagEntry entry : bag.values(IConcurrentBagEntry.STATE_NOT_IN_USE)) {
            if (bag.reserve(entry)) {
                try {
                    Connection connection = (Connection) read(entry, "connection");
                    if (isIdle(connection)) {
                        report(source, pool, process, connection);
                        return true;
                    }
                } finally {
                    bag.unreserve(entry);
                }
            }
        }
        return false;
    }

    private static Object read(Object object, String field) throws ReflectiveOperationException {
        Field declared = object.getClass().getDeclaredField(field);
        declared.setAccessible(true);
        return declared.get(object);
    }

    private static boolean isIdle(Connection connection) throws SQLException {
        return !connection.isClosed()
            && connection.unwrap(BaseConnection.class).getTransactionState() == TransactionState.IDLE;
    }

    /** On this one, which nobody gets meanwhile. */
    private void report(HikariDataSource source, HikariPool pool, String process, Connection connection)
        throws SQLException {
        Report report = books.begin();
        int timeout = connection.getNetworkTimeout();
        try {
            connection.setNetworkTimeout(Runnable::run, LONGEST_REPORT);
            send(source, pool, process, connection, report);
            failures = 0;
        } catch (SQLException problem) {
            failures++;
            books.failed(report, isRefusal(problem));
            LOG.debug("no report", problem);
            clean(connection);
        } finally {
            if (!connection.isClosed()) {
                connection.setNetworkTimeout(Runnable::run, timeout);
            }
        }
    }

    private static boolean isRefusal(SQLException problem) {
        String state = problem.getSQLState();
        return state != null && !state.startsWith("08") && !state.startsWith("57P");
    }

    private static void send(
        HikariDataSource source, HikariPool pool, String process, Connection connection, Report report)
        throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(REPORT)) {
            statement.setString(1, process);
            statement.setInt(2, source.getMaximumPoolSize());
            statement.setInt(3, 0);
            statement.setInt(4, pool.getTotalConnections());
            statement.setInt(5, pool.getActiveConnections());
            statement.setInt(6, pool.getThreadsAwaitingConnection());
            statement.setLong(7, report.checkouts);
            statement.setLong(8, report.waits);
            statement.setDouble(9, report.waited / 1e9);
            statement.setLong(10, report.timeouts);
            statement.setLong(11, report.creations);
            statement.setLong(12, 0); // how many were broken it does not tell
            statement.setDouble(13, report.longest / 1e9);
            statement.setLong(14, report.number);
            statement.setDouble(15, report.held / 1e9);
            statement.executeQuery().close();
        }
        if (!connection.getAutoCommit()) {
            connection.commit();
        }
    }

    /** What is broken, the pool finds when it hands it out next. */
    private static void clean(Connection connection) {
        try {
            if (!connection.getAutoCommit()) {
                connection.rollback();
            }
        } catch (SQLException problem) {
            LOG.debug("no rollback", problem);
        }
    }
}
