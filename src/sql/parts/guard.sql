--
-- The guard
--

CREATE FUNCTION pool_monitor.guards(
	OUT pool text, OUT guard text, OUT armed bool, OUT places int, OUT places_peak int, OUT connection_limit int,
	OUT reserved int, OUT shared_free int, OUT connect_rate int, OUT guarded bigint, OUT would_be_guarded bigint,
	OUT last_guarded timestamptz, OUT in_force_since timestamptz
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_guards';
COMMENT ON FUNCTION pool_monitor.guards() IS 'behind the view pool_monitor.guards';

CREATE VIEW pool_monitor.guards AS
	SELECT * FROM pool_monitor.guards() AS g;

COMMENT ON VIEW pool_monitor.guards IS
'What each pool''s guard goes by at this moment, and what it has done: a row for each declared pool in force, and one for all that '
'is undeclared. A place is what a login takes when it is authenticated, and gives back when its session ends. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.guards.pool IS 'declared pool; NULL: all that is in none, whose guard is pool_monitor.undeclared_guard';
COMMENT ON COLUMN pool_monitor.guards.guard IS 'off, report or enforce, as declared';
COMMENT ON COLUMN pool_monitor.guards.armed IS
'are logins held against it? Not while it is off (guard, or pool_monitor.guard_enabled), for the moment in which declarations '
'change, before any are loaded, without the worker, and when the guard has found its own count wrong. A guard without a limit, '
'which has nothing to keep, is (lint() says so)';
COMMENT ON COLUMN pool_monitor.guards.places IS 'places that are taken: sessions, and logins on their way';
COMMENT ON COLUMN pool_monitor.guards.places_peak IS
'the most places taken at once, exact, since what the guard goes by was last changed, or the server or the worker began';
COMMENT ON COLUMN pool_monitor.guards.connection_limit IS
'places that may be taken: the pool''s budget, or pool_monitor.undeclared_budget; NULL: none, guard is off, or what was '
'declared is not in force yet';
COMMENT ON COLUMN pool_monitor.guards.reserved IS
'places that only this pool may take, as in force: 0 unless guard is enforce, and where the reserves of all do not fit this server';
COMMENT ON COLUMN pool_monitor.guards.shared_free IS
'places free that any pool may take: usable connections less all reserves and what is taken besides these, the same in '
'each row; NULL: nothing is reserved';
COMMENT ON COLUMN pool_monitor.guards.connect_rate IS 'logins a second, as declared; NULL: any number, or guard is off';
COMMENT ON COLUMN pool_monitor.guards.guarded IS 'logins refused, as in pool_stats; (undeclared): of all applications';
COMMENT ON COLUMN pool_monitor.guards.would_be_guarded IS 'logins admitted that enforce would have refused, likewise';
COMMENT ON COLUMN pool_monitor.guards.last_guarded IS 'when one of either was last; NULL: not since the server began';
COMMENT ON COLUMN pool_monitor.guards.in_force_since IS
'since when what it goes by is what it is: the pool''s own declaration, and what all pools together have reserved; with '
'report what they are to reserve, too. NULL: nothing was, since the server began';
