# report(): what is in it, of a real server: escaping of what clients choose, the same data in
# both formats, sizes. Needs real sessions with hostile names, databases of other encodings,
# and a past, which a library of the tests replays.
use strict;
use warnings FATAL => 'all';
use JSON::PP    qw(decode_json);
use PoolMonitor qw(:DEFAULT query insert_pool holder);
use PoolMonitorReport;
use Test::More;

my $node = new_server('report',
	"max_connections = 400\npool_monitor.history_minutes = 1500\ntimezone = 'Europe/Berlin'\n");

# Pages are long: what is not in them is told without them.
sub has
{
	my ($page, $pattern, $what) = @_;
	return ok($page =~ $pattern, $what);
}

sub report
{
	my ($arguments, $dbname) = @_;
	return query($node, "SELECT pool_monitor.report($arguments)", $dbname);
}

create_replay($node);

subtest 'before anything is declared or seen' => sub {
	my $page = report('');
	is(well_formed($page), '', 'a page');
	has($page, qr/No pool is declared/, 'which says so');
	my $long_ago = report("until => now() - interval '1 year'");
	is(well_formed($long_ago), '', 'of a time before all history: a page');
	has($long_ago, qr/There is no history of this time/, 'which says so');
	has($long_ago, qr/Nothing is known of this time/,    'not that all was well');
	ok($long_ago !~ qr/class="plot"/, 'without an empty picture');
};

subtest 'who may' => sub {
	query($node, 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
	query($node, 'CREATE ROLE nobody LOGIN');
	foreach
	  my $call ('report()', "report(format => 'json')", 'chart()', "chart('(server)', '1 day', 80)")
	{
		my ($rc, $out, $err) =
		  $node->psql('postgres', "SELECT pool_monitor.$call", extra_params => ['-U', 'monitor']);
		is($err, '', "pg_monitor: $call");
		($rc, $out, $err) =
		  $node->psql('postgres', "SELECT pool_monitor.$call", extra_params => ['-U', 'nobody']);
		like($err, qr/permission denied for function/, "nobody: $call");
	}
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		q{SELECT pool_monitor.report_page('{}'), pool_monitor.report_page('[1]')},
		extra_params => ['-U', 'nobody']
	);
	my $lacks = qr/lacks: health, server, pools, advice\./;
	like($out, qr/$lacks.*$lacks/s, 'but a document that one has, everybody may look at');
	unlike(page_of($node, example()), qr/lacks: /, 'which says what it lacks');
};

# Each of 63 bytes at most, as PostgreSQL cuts names; names of applications it has in ASCII
# only, those of roles and databases may be anything.
my @names = (
	q{<script>alert(1)</script>},
	q{"><img src=x onerror=alert(1)>},
	q{' onmouseover='alert(1)},
	q{</title></svg><h1>x},
	q{&lt;b&gt; &amp; &#60;},
	"\xe2\x80\xaeevil\xe2\x81\xa6 turned",
	"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d and \xe2\x80\x8bmore",
	"Z\xcc\x81\xcc\xa7\xcc\xb4\xcc\xa8algo",
	'\\u202e \\x41 %s %n {0} ${x}',
	"tab\tnew\x0bline\x01\x7f",    # from 19 on no role has a line end in its name
	'x' x 63,
);

subtest 'what others choose is text, in elements and in attributes' => sub {
	my @holders;
	my $i = 0;
	query($node, 'CREATE ROLE plain LOGIN');
	foreach my $name (@names)
	{
		my $role = $name =~ s/"/""/gr;
		query($node, qq{CREATE ROLE "$role" LOGIN});
		push @holders,
		  PoolMonitor::Holder->new(
			$node,
			user             => q{'} . $name =~ s/([\\'])/\\$1/gr . q{'},
			application_name => $name,
			sessions         => 2
		  );

		# pools may have markup in their names, too, and anything in their descriptions
		next unless $name =~ /^[\x20-\x7e]+$/ && $name !~ /["\\]/;
		my $literal = $name =~ s/'/''/gr;
		declare($node,
			"INSERT INTO pool_monitor.pools (name, application_name, description) VALUES ('$literal', 'nobody', '$literal ' || E'\\u202e</td>')"
		);
	}
	wait_for(
		$node,
		"SELECT count(*) >= 11 FROM pool_monitor.holders() WHERE application_name IS NOT NULL AND max_connections > 0",
		'all of them have a history'
	);
	my $page = report("'1 hour'");
	is(well_formed($page), '', 'the page is well formed, without a script');
	ok($page !~ qr/\xe2|&#8238;|&#8294;|&#8203;/, 'nothing turns directions, or hides');
	has($page, qr/&lt;script&gt;alert\(1\)&lt;\/script&gt;/, 'markup is shown as it is');
	has($page, qr/<bdi>&#34;&gt;&lt;img src=x onerror=alert\(1\)&gt;<\/bdi>/, 'and so are quotes');
	has(
		$page,
		qr/<bdi>\\u202eevil\\u2066 turned<\/bdi>/,
		'what turns directions is shown as what it is'
	);
	has(
		$page,
		qr/<bdi>&#1513;&#1500;&#1493;&#1501; and \\u200bmore<\/bdi>/,
		'letters that run to the left stay among themselves'
	);
	has($page, qr/<bdi>Z\\u0301\\u0327\\u0334\\u0328algo<\/bdi>/, 'marks do not pile up');
	has(
		$page,
		qr/\\u005cu202e \\u005cx41 %s %n \{0\} \$\{x\}/,
		'what looks like that is told apart'
	);
	has($page, qr/<bdi>x{63}<\/bdi>/, 'a name of 63 bytes');
	my $document = decode_json(report("'1 hour', format => 'json'"));
	ok((grep { ($_->{usename} // '') =~ /<script>/ } @{$document->{holders}}),
		'as JSON it is what it is');
	$_->close foreach @holders;
};

subtest 'in a database whose encoding has no such letters' => sub {
	foreach my $encoding ('SQL_ASCII', 'LATIN1')
	{
		query($node, qq{CREATE DATABASE "db_$encoding" TEMPLATE template0 ENCODING $encoding});
		query($node, 'CREATE EXTENSION pool_monitor', "db_$encoding");
		is(well_formed(report("'1 hour'", "db_$encoding")), '', "$encoding: a page");
	}
	is(
		query(
			$node,
			q[SELECT pool_monitor.report_page(format('{"advice": [{"finding": "%s"}]}', chr(233) || chr(160))::jsonb)],
			'db_LATIN1'
		) =~ /<bdi>(&#233;\\u00a0)<\/bdi>/ ? $1 : '',
		'&#233;\u00a0',
		'letters of LATIN1'
	);
	is(
		query(
			$node,
			q{SELECT pool_monitor.report_page(convert_from('\x7b22616476696365223a205b7b2266696e64696e67223a2022e9c328227d5d7d', 'SQL_ASCII')::jsonb)},
			'db_SQL_ASCII'
		) =~ /<bdi>(.*?)<\/bdi>/ ? $1 : '',
		'\xe9\xc3(',
		'bytes of no encoding'
	);
};

subtest 'arguments' => sub {
	foreach my $case (
		["'0'",                        qr/span must be longer than nothing/],
		["'-1 hour'",                  qr/span must be longer than nothing/],
		["'3 years'",                  qr/not longer than 732 days/],
		["until => 'infinity'",        qr/span must be|out of range|cannot subtract/],
		["'3 years', format => 'pdf'", qr/format must be html or json/]
	  )
	{
		my ($rc, $out, $err) = $node->psql('postgres', "SELECT pool_monitor.report($case->[0])");
		like($err, $case->[1], $case->[0]);
	}
	is(report('NULL'), '', 'NULL gives NULL');
	foreach my $span (
		['1999-12-01',                '294276-12-31 23:59:59'],
		['4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59'],
		['4714-11-24 00:00:00+00 BC', '4713-01-01 BC'],
		['-infinity',                 '294276-12-31'],
		['2026-01-01',                'infinity']
	  )
	{
		my ($rc, $out, $err) = $node->psql('postgres',
			"SELECT count(*) FROM pool_monitor.curves(NULL, '$span->[0]', '$span->[1]')");
		my $good = $span->[1] =~ /BC/;
		is($rc, $good ? 0 : 3, "curves() from $span->[0] to $span->[1]");
		like(
			$err,
			$good
			? qr/^$/
			: qr/span must be longer than nothing, and not longer than 732 days\n.* from (.+) to (?!\1)/,
			$good ? 'has an answer' : 'is refused'
		);
	}
	is(
		query(
			$node,
			q{SELECT count(*) > 0 FROM pool_monitor.curves(NULL, '294275-12-31', '294276-12-31 23:59:59')}
		),
		't',
		'the last year there is'
	);
};

subtest 'whatever the document is' => sub {
	foreach my $document (
		'null',
		'[]',
		'{}',
		'5',
		'{"pools": 3, "events": [], "server": [1], "report": "x"}',
		'{"pools": [null, 1, "x", {}, {"pool": null, "declared": {}, "now": {}, "span": {}, "counted": {}, "curve": {}}]}',
		'{"events": {"last": [{}, null, {"event": "refused", "at": "infinity", "detail": {"a": [1, [2]], "b": {}}}], "starved": [{}, 2]}}',
		'{"server": {"usable": 1e300, "curve": {"step": 1e300, "first": "2026-01-01", "connections": [1]}}}',
		'{"server": {"usable": 1e400, "connection_budget": -5, "max_connections": 1e400, "curve": {"step": 60, "peak": 1e400, "first": "2026-01-01", "peak_at": "2026-01-01", "connections": [1e400, -3, null, "x"], "status": ["ok", 7]}}, "pools": [{"declared": {"budget": 1e400}, "now": {"connections": 1e400}}]}',
		'{"pools": [{"pool": "p", "declared": {"base": 1e400, "ceiling": 1e12}, "curve": {"step": 60, "first": "294276-12-31", "connections": [0, 0], "status": ["ok", "ok"]}, "sizes": [{}, 1], "holds": {"bounds": [1, "x"], "up_to": [null], "count": 4}}]}',
		'{"pools": [{"pool": "p", "declared": {}, "curve": {"step": 10000000, "first": "4713-01-01 BC", "connections": [0, 5], "most_connections": [9, 9], "status": ["ok", "ok"]}}]}'
	  )
	{
		is(well_formed(page_of($node, $document)), '', 'document ' . substr($document, 0, 60));
		$node->psql('postgres',
			"SELECT count(*) FROM pool_monitor.chart_lines(('$document'::jsonb) #> '{pools,0}', 80, false)"
		);
	}
	is(
		query($node,
			"SELECT count(*) FROM pool_monitor.chart_lines('{\"curve\": {\"step\": 60, \"first\": \"2026-01-01\", \"connections\": [1e400], \"status\": [\"ok\"]}, \"declared\": {\"base\": 1e400}}', 80, false)"
		) > 10,
		1,
		'nor is a plot troubled'
	);
};

subtest 'declarations as large as may be' => sub {
	query($node, 'DELETE FROM pool_monitor.pools');
	declare($node,
			insert_pool('huge', servers => 10000, workers => 1, pool_size => 26, max_overflow => 0)
		  . insert_pool('wide', pool_size => 100000, max_overflow => 100000)
		  . insert_pool('open', pool_size => 5,      max_overflow => -1)
		  . insert_pool('bare', pool_size => 0));
	is(
		query(
			$node,
			q{SELECT count(replay_history(name, 60, 20, 25, 10, 20, 1, 0, 0, 600, 0, 0)) FROM pool_monitor.pools}
		),
		4,
		'with a past'
	);
	my $page = report("'1 hour'");
	is(well_formed($page), '', 'a page');
	has(
		$page,
		qr/carries<\/dt><dd>260,000 operations at once, 26 in each process/,
		'of many processes'
	);
	has($page, qr/it has no ceiling/,      'and of what is unbounded');
	has($page, qr/and some without bound/, 'which the stack of budgets says, too');
};

# The worker looks once a minute from then on, so it adds next to nothing to the past.
query($node, 'DELETE FROM pool_monitor.pools');
lay_past($node, 10, 1440, 72);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;

subtest 'a day of ten pools' => sub {
	my $page = report('');
	is(well_formed($page), '', 'a page');
	my $length = length $page;
	note("$length bytes");
	cmp_ok($length, '<', 200_000, 'of less than 200 kB');
	is(() = $page =~ /class="plot"/g, 12, 'a picture of each pool, the server, and the rest');
	has(
		$page,
		qr/<b class="bad">!<\/b><a href="#pool0"><bdi>web<\/bdi><\/a> was over its budget for .*? had all busy/,
		'what stands out is told first'
	);
	has($page, qr/<section class="pool" id="pool0"><h3><bdi>web</, 'and is the first pool');
	has($page, qr/class="gap"[^>]*><title>nobody was watching/,    'the gap is a gap');
	has($page, qr/Of this time \d+ % was watched/,                 'and is told of');
	has($page, qr/The shop\. Sized in May/, 'decisions have their descriptions');
	has(
		$page,
		qr/carries<\/dt><dd>21 operations at once, 7 in each process/,
		'and what a pool carries'
	);
	my ($waits, $today) =
	  $page =~
	  /Waits by number of connections, at this load(.*?As sized now, )(\d+) \(7 a process\)/s;
	is($today, 21, 'waits at the sizes of today');
	has($waits, qr/class="x strong"[^>]*>21</, 'which are marked');
	has(
		$page,
		qr/\(7 a process\)[^.]*, if they come at random\./,
		'by formulas for random arrivals'
	);
};

subtest 'both formats have the same' => sub {
	my $both = query(
		$node,
		"WITH d AS MATERIALIZED (SELECT pool_monitor.report_data(now() - interval '1 day', now()) AS d)
		SELECT pool_monitor.report_page(d, 'json') FROM d UNION ALL SELECT pool_monitor.report_page(d, 'html') FROM d"
	);
	my ($json, $page) = $both =~ /^(\{.*?)\n(<!DOCTYPE.*)$/s;
	my $document = decode_json($json);
	is_deeply(
		[map { $_->{pool} } @{$document->{pools}}],
		[$page =~ /<section class="pool" id="pool\d+"><h3><bdi>(.*?)</g],
		'the pools in their order'
	);
	foreach my $pool (@{$document->{pools}})
	{
		my ($section) = $page =~ /<h3><bdi>\Q$pool->{pool}\E<\/bdi>(.*?)<\/section>/s;
		my $peak = $pool->{curve}{peak};
		has($section, qr/most connections: $peak at/, "$pool->{pool}: the peak");
		my $transactions = reverse join ',', unpack '(A3)*', reverse $pool->{span}{transactions};
		has($section, qr/\b$transactions transactions/, "$pool->{pool}: the load");
	}
	like($document->{pools}[0]{declared}{pool_timeout}, qr/^00:00:30$/, 'intervals have one style');
};

subtest 'curves() keeps each peak, and sums what history() has' => sub {
	is(
		query(
			$node, q{
SELECT count(*) FROM pool_monitor.curves(NULL, now() - interval '1 day', now()) AS c
CROSS JOIN LATERAL (SELECT max(m::float8) AS most FROM json_array_elements_text(c.curve -> 'most_connections') AS m) AS p
CROSS JOIN LATERAL (SELECT max(h.max_connections) AS most FROM pool_monitor.history(c.pool, '1 minute', now() - interval '1 day', now()) AS h) AS h
WHERE p.most = h.most AND (c.curve ->> 'peak')::int = h.most AND json_array_length(c.curve -> 'busy') <= 400}
		),
		12,
		'the most of each series'
	);
	is(
		query(
			$node, q{
SELECT bool_and(abs(p.connections - h.connections) < 0.011 OR p.i IN (0, 288)) FROM pool_monitor.curves('web', now() - interval '1 day', now()) AS c
CROSS JOIN LATERAL (SELECT i - 1 AS i, (c.curve ->> 'first')::timestamptz + (i - 1) * interval '5 min' AS at, v::float8 AS connections
	FROM json_array_elements_text(c.curve -> 'connections') WITH ORDINALITY AS a(v, i)) AS p
CROSS JOIN LATERAL (SELECT sum(h.avg_connections * h.seen) / sum(h.seen) AS connections
	FROM pool_monitor.history('web', '1 minute', p.at, p.at + interval '5 min') AS h) AS h
WHERE h.connections IS NOT NULL}
		),
		't',
		'averages over the time seen'
	);
	is(
		query(
			$node, q{
SELECT json_array_length(c.curve -> 'busy') || ' of ' || (c.curve ->> 'step'), count(*) FILTER (WHERE s = '') > 300, count(*) FILTER (WHERE s <> '') >= 72 / 2
FROM pool_monitor.curves('web', now() - interval '30 days', now()) AS c, json_array_elements_text(c.curve -> 'status') AS s GROUP BY 1}
		) =~ s/36[01]/360/r,
		'360 of 7200|t|t',
		'a month: hours stand for minutes that are gone, and what is not known stays so'
	);
};

subtest 'a pool declared just now, and history that was lost' => sub {
	declare($node, insert_pool('young', description => "'of today'"));
	query($node, "SELECT pool_monitor.reset('web')");
	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'jobs'");
	my $page = report("'2 hours', now() - interval '1 hour'");
	is(well_formed($page), '', 'a page of before');
	has($page, qr/<h3><bdi>young<\/bdi>.*?There is no history of it in this time/s,
		'which says so');
	$page = report("'10 days'");
	is(well_formed($page), '', 'of ten days');
	has(
		$page,
		qr/No longer declared: <bdi>jobs<\/bdi><\/h3><figure>/,
		'one that is no longer declared has its curve all the same'
	);
	has($page, qr/the history begins at/, 'and where the history begins');
};

is(log_count($node, 'PANIC|TRAP|ERROR:  (?!format must|the span|permission denied)'),
	0, 'nothing broke')
  or
  diag(join "\n", grep { /ERROR/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile));
$node->stop;
done_testing();
