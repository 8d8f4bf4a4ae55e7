/* the install script: joined by make from the parts in src/sql/parts */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pool_monitor" to load this file. \quit

-- made here, so that one that somebody else has made is an error, and that it
-- goes with the extension; nothing is put where the control file's schema is
CREATE SCHEMA pool_monitor;
COMMENT ON SCHEMA pool_monitor IS
'declared connection pools against the sessions the server really has';

CREATE FUNCTION pool_monitor.version() RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_version';
COMMENT ON FUNCTION pool_monitor.version() IS 'version of the library that serves this session';

-- a WARNING, where the library is not preloaded
CREATE FUNCTION pool_monitor.tell_of_preload() RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'pm_tell_of_preload';
SELECT pool_monitor.tell_of_preload();
DROP FUNCTION pool_monitor.tell_of_preload();
