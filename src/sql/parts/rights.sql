--
-- Rights
--
-- applications, sessions, leak_suspects, memory and version are for everybody, and show of other
-- roles' sessions what pg_stat_activity shows; client_report() is for every client. The rest is for those who may
-- read all statistics; what acts, for those who may end sessions.
--

GRANT USAGE ON SCHEMA pool_monitor TO PUBLIC;

REVOKE ALL ON FUNCTION pool_monitor.pools_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.budgets() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.server() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.health() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.holders(timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.who(timestamptz, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.changes(tstzrange, tstzrange) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.idle_memory() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.client_reports() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.pool_stats() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.guards() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.metrics_counted() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.metrics(bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.history(text, interval, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.workload(text, timestamptz, timestamptz, bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.undeclared_most() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.fit(int) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.simulate(text, int, int, int, interval, interval, float8, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.waits_simulated(text, interval, int, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.retired_today() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.can_retire(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.events() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.declared() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.declarations_loaded() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.which_pool(text, text, text, inet) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.lint(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.curves(text, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.pools_readable() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.report_written() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.report_pools(timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.report_events(timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.report_data(timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.report(interval, timestamptz, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.chart(text, interval, int, bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.reset(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.recycle(text, bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.reload() FROM PUBLIC;

GRANT SELECT ON pool_monitor.applications, pool_monitor.sessions, pool_monitor.leak_suspects TO PUBLIC;
GRANT SELECT ON pool_monitor.pools, pool_monitor.budgets, pool_monitor.server TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.health, pool_monitor.overview TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.holders(timestamptz, timestamptz) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.who(timestamptz, interval) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.changes(tstzrange, tstzrange) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.idle_memory() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.health() TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.presets TO PUBLIC;
GRANT SELECT ON pool_monitor.workload, pool_monitor.muted, pool_monitor.advice, pool_monitor.checklist TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.fit(int), pool_monitor.undeclared_most() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.retired_today(), pool_monitor.can_retire(text) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.simulate(text, int, int, int, interval, interval, float8, bigint) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.waits_simulated(text, interval, int, int) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.declared() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.declarations_loaded() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.which_pool(text, text, text, inet) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.lint(interval) TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.pool_stats, pool_monitor.guards, pool_monitor.history, pool_monitor.events TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.client_reports() TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.client_pools TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.pool_stats() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.guards() TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.metrics_pool, pool_monitor.metrics_server, pool_monitor.metrics_application TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.metrics_catalog TO PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor.metrics_counted(), pool_monitor.metrics(bool) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.history(text, interval, timestamptz, timestamptz) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.workload(text, timestamptz, timestamptz, bool) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.events() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.budgets() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.server() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.curves(text, timestamptz, timestamptz) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.pools_readable(), pool_monitor.report_written() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.report_pools(timestamptz, timestamptz) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.report_events(timestamptz, timestamptz) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.report_data(timestamptz, timestamptz) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.report(interval, timestamptz, text) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.chart(text, interval, int, bool) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.recycle(text, bool) TO pg_read_all_stats, pg_signal_backend;
