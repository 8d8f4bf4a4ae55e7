-- What the files for collectors are made from: the columns of the views, with their kinds and comments.
SELECT json_build_object(
	'views', (SELECT json_object_agg(v.view, obj_description(('pool_monitor.' || v.view)::regclass, 'pg_class'))
		FROM (SELECT DISTINCT view FROM pool_monitor.metrics_catalog) AS v),
	'columns', (SELECT json_agg(json_build_object('view', c.view, 'name', c.name, 'metric', c.metric, 'kind', c.kind, 'help', c.help,
		'type', (SELECT format_type(a.atttypid, NULL) FROM pg_attribute AS a
			WHERE a.attrelid = ('pool_monitor.' || c.view)::regclass AND a.attname = c.name))
		ORDER BY c.view, c.position) FROM pool_monitor.metrics_catalog AS c));
