-- docs/reference.md, from what the server says of the extension: comments, types,
-- defaults and settings. Run by test/reference, and by test/t/038_reference.pl, which
-- compares; with psql -XAtq, on a server that has the library preloaded.
SET search_path = pg_catalog;
SET intervalstyle = postgres;

-- a comment in lines of at most 119 characters, and in a cell of a table
CREATE FUNCTION pg_temp.wrapped(words text) RETURNS text LANGUAGE sql
	RETURN rtrim(regexp_replace(words, '(.{1,119})(?: +|$)', E'\\1\n', 'g'), E'\n');
CREATE FUNCTION pg_temp.cell(words text) RETURNS text LANGUAGE sql
	RETURN replace(words, '|', '\|');

SELECT '<!-- Written by test/reference from comments in the server: change those, not this. -->
# Reference

Each table, view, column, function and setting, as the server itself describes them (`\d+ pool_monitor.budgets` shows
it, too). Who may use what is in [rights.md](rights.md), how it is used in [declare.md](declare.md),
[watch.md](watch.md), [retirement.md](retirement.md) and [sizing.md](sizing.md).

## Tables and views';

SELECT format(E'\n### %s\n\n%s\n\n', r.relname, pg_temp.wrapped(obj_description(r.oid, 'pg_class')))
	|| CASE WHEN r.relkind = 'r' THEN E'| column | type | default | what it is |\n|---|---|---|---|\n'
		ELSE E'| column | type | what it is |\n|---|---|---|\n' END
	|| string_agg(format('| `%s` | %s%s | %s%s |', a.attname, format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attnotnull THEN ' not null' END,
			CASE WHEN r.relkind <> 'r' THEN NULL
				WHEN a.attgenerated <> '' THEN 'computed | '
				ELSE coalesce('`' || pg_temp.cell(regexp_replace(pg_get_expr(d.adbin, d.adrelid), '::[a-z ]+$', '')) || '` ',
					'') || '| ' END,
			pg_temp.cell(col_description(r.oid, a.attnum))), E'\n' ORDER BY a.attnum)
	|| (SELECT coalesce(E'\n\nWhat is refused, by the name of the constraint:\n\n'
			|| string_agg('- ' || c.conname, E'\n' ORDER BY c.conname COLLATE "C"), '')
		FROM pg_constraint AS c WHERE c.conrelid = r.oid AND c.contype = 'c')
FROM pg_class AS r JOIN pg_attribute AS a ON a.attrelid = r.oid LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.relnamespace = 'pool_monitor'::regnamespace AND r.relkind NOT IN ('i', 'c') AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY r.oid, r.relname, r.relkind
ORDER BY r.relkind <> 'r', r.relname COLLATE "C";

SELECT '
## Functions

| function | returns | what it does |
|---|---|---|';

SELECT format('| `%s(%s)` | %s | %s |', f.proname, arguments.list,
	CASE WHEN EXISTS (SELECT FROM pg_class AS v WHERE v.relname = f.proname AND v.relnamespace = f.pronamespace) THEN 'rows'
		ELSE coalesce('rows of ' || results.list, pg_get_function_result(f.oid)) END,
	pg_temp.cell(obj_description(f.oid, 'pg_proc')))
FROM pg_proc AS f
CROSS JOIN LATERAL (
	SELECT coalesce(string_agg(concat(a.name, ' ', format_type(a.type, NULL), ' DEFAULT ' || pg_get_function_arg_default(f.oid, a.n::int)),
		', ' ORDER BY a.n), '')
	FROM unnest(coalesce(f.proallargtypes, f.proargtypes::oid[]), f.proargnames, f.proargmodes) WITH ORDINALITY AS a(type, name, mode, n)
	WHERE coalesce(a.mode, 'i') IN ('i', 'b', 'v')) AS arguments(list)
CROSS JOIN LATERAL (
	SELECT string_agg(format('%s %s', a.name, format_type(a.type, NULL)), ', ' ORDER BY a.n)
	FROM unnest(f.proallargtypes, f.proargnames, f.proargmodes) WITH ORDINALITY AS a(type, name, mode, n)
	WHERE a.mode IN ('o', 'b', 't')) AS results(list)
WHERE f.pronamespace = 'pool_monitor'::regnamespace
ORDER BY f.proname COLLATE "C", arguments.list COLLATE "C";

SELECT '
## Settings

The context says when a change takes effect: `sighup` on reload, `postmaster` at a restart. Which to think of is in
[install.md](install.md#settings-to-think-of).

| setting | type | default | least | most | unit | context | what it is |
|---|---|---|---|---|---|---|---|';

SELECT format('| `%s` | %s | `%s` | %s | %s | %s | %s | %s |', s.name, s.vartype,
	CASE s.vartype WHEN 'string' THEN quote_literal(s.boot_val) ELSE s.boot_val END, s.min_val, s.max_val, s.unit, s.context,
	pg_temp.cell(concat_ws(' ', s.short_desc, s.extra_desc)))
FROM pg_settings AS s WHERE s.name LIKE 'pool\_monitor.%' ORDER BY s.name COLLATE "C";

DROP FUNCTION pg_temp.wrapped(text), pg_temp.cell(text);
