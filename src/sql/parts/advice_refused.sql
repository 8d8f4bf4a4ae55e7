--
-- In the view advice: logins that were refused, or came to nothing
--
	-- Who held most that was not busy, each time that the server became full.
	filled AS MATERIALIZED (
		SELECT e.seq, e.at, format('at %s, most that was not busy was held by: %s', date_trunc('second', e.at), coalesce(h.names, 'nobody'))
				|| CASE WHEN a.slots > 0 THEN format('; %s slots by logins that were not authenticated', a.slots) ELSE '' END AS told,
			a.slots > 0.2 * (e.detail::jsonb ->> 'usable')::int AS by_logins
		FROM events AS e,
			LATERAL (
				SELECT string_agg(format('%s %s connections, %s busy', coalesce(o.holder ->> 'pool',
						format('%s (role %s)', pool_monitor.quoted(o.holder ->> 'application'),
							pool_monitor.quoted(o.holder ->> 'usename'))),
					o.holder ->> 'connections', o.holder ->> 'busy'), '; ' ORDER BY o.place) AS names
				FROM jsonb_array_elements(e.detail::jsonb -> 'holders') WITH ORDINALITY AS o(holder, place)
			) AS h,
			LATERAL (SELECT (e.detail::jsonb ->> 'authenticating')::int AS slots) AS a
		WHERE e.event = 'server_full'
	),
	-- The last time that the pool was starved by it: the server's event comes first. Of no pool, the last time.
	holders AS MATERIALIZED (
		SELECT p.pool, f.told, f.by_logins
		FROM (SELECT v.pool, max(v.at) AS at FROM events AS v WHERE v.event = 'starved' GROUP BY v.pool
				UNION ALL SELECT NULL, 'infinity') AS p,
			LATERAL (SELECT x.* FROM filled AS x WHERE x.at <= p.at ORDER BY x.seq DESC LIMIT 1) AS f
	),
	starved AS MATERIALIZED (
		SELECT CASE WHEN h.starved_share > 0 THEN 'critical' ELSE 'warning' END, w.pool, 'starved',
			'logins of this pool were refused though it was below its budget: others held the server''s connection slots',
			format('starved for %s s of %s, %s logins refused; %s connections at most, budget %s; %s',
				floor(w.starved_share * extract(epoch FROM w.seen))::bigint, pool_monitor.watched(w.seen, 'day'), w.refused,
				w.max_connections, coalesce(d.budget::text, 'none'), coalesce(o.told, 'who held them is not known any more')),
			CASE WHEN o.by_logins THEN 'Logins that hang hold slots, and would hold more if there were more: shorten '
					'authentication_timeout, and look in pg_hba.conf and the firewall who may reach the server. '
				ELSE '' END || 'Lower what holds connections and does not use them, first those that are named: pool_size of a declared '
				'pool, or declare what is not.' || CASE WHEN o.by_logins THEN '' ELSE ' If all are busy, raise max_connections.' END,
			NULL::text, NULL::int, NULL::int, w.seen, NULL::float8, 'exact'
		FROM declared AS d JOIN day AS w ON w.pool = d.pool LEFT JOIN hour AS h ON h.pool = d.pool LEFT JOIN holders AS o ON o.pool = w.pool
		WHERE w.starved_share > 0
	),
	refused AS MATERIALIZED (
		SELECT CASE WHEN h.refused > 0 THEN 'critical' ELSE 'warning' END,
			nullif(nullif(w.pool, '(server)'), '(undeclared)'), 'refused',
			CASE w.pool WHEN '(undeclared)' THEN 'logins of undeclared applications were refused: no connection slot was free'
				ELSE 'logins were refused: no connection slot was free' END,
			format('%s in %s, %s of them in the last hour; %s connections at most, %s usable; %s',
				w.refused, pool_monitor.watched(w.seen, 'day'), coalesce(h.refused, 0), a.max_connections, s.usable,
				coalesce(o.told, 'who held them is not known any more')),
			'See who holds the slots: budgets and applications. Lower the pools that are above their budgets, '
				'declare what is undeclared, or raise max_connections.',
			NULL::text, NULL::int, NULL::int, w.seen, NULL::float8, 'exact'
		FROM day AS w JOIN day AS a ON a.pool = '(server)'
			LEFT JOIN hour AS h ON h.pool = w.pool LEFT JOIN holders AS o ON o.pool IS NULL, server AS s
		WHERE w.refused > 0 AND w.pool <> '(server)'
			AND (coalesce(w.starved_share, 0) = 0 OR NOT EXISTS (SELECT FROM declared AS d WHERE d.pool = w.pool))
	),

	-- bursts of them: one or two may be somebody's mistake
	failed_logins AS MATERIALIZED (
		SELECT f.*, row_number() OVER (PARTITION BY f.pool, f.event ORDER BY f.bursts DESC, f.at DESC, f.account) AS place
		FROM (
			SELECT nullif(e.pool, '(other)') AS pool, e.event,
				CASE WHEN e.pool IS NULL THEN format('%s of role %s in database %s', pool_monitor.quoted(e.application_name),
					pool_monitor.quoted(e.usename), pool_monitor.quoted(e.datname)) ELSE 'what there was no room for' END AS account,
				coalesce(sum(e.times) FILTER (WHERE NOT e.detail::jsonb ? 'grown'), 0) AS bursts, max(e.at) AS at,
				(array_agg(e.detail ORDER BY e.seq DESC))[1]::jsonb AS first
			FROM events AS e
			WHERE e.event IN ('auth_failures', 'rejected')
			GROUP BY e.pool, e.application_name, e.usename, e.datname, e.event
		) AS f
	),
	-- of those who are not declared one row: who fails to log in can give as many names as he likes
	logins AS MATERIALIZED (
		SELECT 'warning', f.pool, 'logins',
			format(CASE f.event WHEN 'rejected' THEN 'many logins of %s were authenticated, then not admitted'
					ELSE 'many logins of %s were not authenticated' END,
				CASE WHEN f.pool IS NULL THEN 'undeclared applications' ELSE 'the pool' END),
			concat(min(CASE f.event WHEN 'rejected' THEN w.rejected ELSE w.auth_failures END) || ' in '
					|| pool_monitor.watched(min(w.seen), 'day') || ', ',
				format('bursts of five or more: %s, the last at %s', sum(f.bursts), date_trunc('second', max(f.at))),
				CASE WHEN f.pool IS NULL THEN format('; they called themselves %s%s', string_agg(f.account, ', ' ORDER BY f.place)
						FILTER (WHERE f.place <= 3), CASE WHEN count(*) > 3 THEN format(' and by %s other names', count(*) - 3) END)
					ELSE min(CASE WHEN f.first ? 'usename' THEN format(': the first was of role %s in database %s, from %s',
						pool_monitor.quoted(f.first ->> 'usename'), pool_monitor.quoted(f.first ->> 'datname'),
						coalesce(f.first ->> 'client_addr', 'a Unix-domain socket')) END) END),
			CASE f.event WHEN 'rejected' THEN 'Look for a database that is missing, CONNECT privilege, and the CONNECTION LIMIT of role '
					'and database: the server log has the reason of each.'
				ELSE 'Look for a password that was changed on one side, a missing line in pg_hba.conf, or somebody who tries '
					'passwords: the server log has the reason of each.' END,
			NULL::text, NULL::int, NULL::int, min(w.seen), NULL::float8, 'exact'
		FROM failed_logins AS f LEFT JOIN day AS w ON w.pool = coalesce(f.pool, '(undeclared)')
		GROUP BY f.pool, f.event
	),
