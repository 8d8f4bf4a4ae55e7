import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/**
 * A pool of HikariCP whose logins the guard may refuse. Answers each line of stdin with one, until
 * stdin ends:
 *
 *   open   the pool: "opened", or the class of the error and the SQLSTATE of its cause
 *   take   a connection, which stays out: "took one", or the class of the error and its SQLSTATE
 *   begin  the same in a thread, which waits for it: "begun"
 *   end    what has come of that
 *   said   the last error of the server, with "|" for the ends of its lines
 *   give   all come back: how many they were
 *
 * usage: GuardedPool URL SIZE TIMEOUT
 */
final class GuardedPool {
    private final HikariConfig config = new HikariConfig();
    private final List<Connection> held = new ArrayList<>();
    private HikariDataSource pool;
    private Thread thread;
    private String outcome;
    private Throwable error;

    private GuardedPool(String url, int size, long timeout) {
        config.setJdbcUrl(url);
        config.setMaximumPoolSize(size);
        config.setMinimumIdle(1);
        config.setConnectionTimeout(timeout);
    }

    /** Of what the server said, which is the innermost cause. */
    private String failed(Exception problem) {
        error = problem;
        while (error.getCause() != null && error.getCause() != error) {
            error = error.getCause();
        }
        String state = error instanceof SQLException ? ((SQLException) error).getSQLState() : "none";
        return problem.getClass().getSimpleName() + " " + state;
    }

    private String open() {
        try {
            pool = new HikariDataSource(config);
            return "opened";
        } catch (RuntimeException problem) {
            return failed(problem);
        }
    }

    private String take() {
        try {
            held.add(pool.getConnection());
            outcome = "took one";
        } catch (SQLException problem) {
            outcome = failed(problem);
        }
        return outcome;
    }

    private String begin() {
        thread = new Thread(this::take);
        thread.start();
        return "begun";
    }

    private String end() throws InterruptedException {
        thread.join();
        return outcome;
    }

    private String give() throws SQLException {
        int number = held.size();
        for (Connection connection : held) {
            connection.close();
        }
        held.clear();
        return String.valueOf(number);
    }

    private String answer(String command) throws Exception {
        switch (command) {
            case "open":
                return open();
            case "take":
                return take();
            case "begin":
                return begin();
            case "end":
                return end();
            case "said":
                return error.getMessage().replaceAll("\\s*\n\\s*", "|");
            case "give":
                return give();
            default:
                return "unknown";
        }
    }

    public static void main(String[] arguments) throws Exception {
        GuardedPool client = new GuardedPool(arguments[0], Integer.parseInt(arguments[1]), Long.parseLong(arguments[2]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(client.answer(line));
        }
        System.exit(0);
    }
}
