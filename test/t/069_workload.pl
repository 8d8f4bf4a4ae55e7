# workload() and the view: sums of any time, against plain SQL over history(), the formulas
# written out. Only TAP has a past: it is replayed by a library of the tests.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorPast;
use Test::More;

my $node = past_server('workload');

# From stretches of history() with a weight (minutes that each stands for) and a span.
my $formulas = <<'EOS';
sums AS (
	SELECT s.pool, s.span, sum(s.seen) AS seen,
		sum(s.avg_connections * s.seen) AS connection_seconds, max(s.max_connections) AS max_connections,
		sum(s.avg_busy * s.seen) AS busy_seconds, max(s.max_busy) AS max_busy,
		(SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY m.max_busy)
			FROM stretches AS m, generate_series(1, m.weight) WHERE m.pool = s.pool AND m.span = s.span) AS p95_busy,
		sum(s.transactions) AS transactions, sum(s.connects) AS connects, sum(s.disconnects) AS disconnects,
		sum(s.retired) AS retired, sum(s.refused) AS refused, sum(s.overflow_seconds) AS overflow_seconds,
		sum(s.exhausted_seconds) AS exhausted_seconds, sum(s.over_seconds) AS over_seconds
	FROM stretches AS s GROUP BY s.pool, s.span
),
rates AS (
	SELECT s.*, s.transactions / nullif(s.seen, 0) AS transactions_per_second,
		s.busy_seconds / nullif(s.transactions, 0) AS hold_time,
		least(s.transactions, s.seen / greatest(60, 2 * s.busy_seconds / nullif(s.transactions, 0))) AS effective_samples
	FROM sums AS s
),
expected AS (
	SELECT r.pool, r.span, make_interval(secs => r.seen) AS seen,
		r.connection_seconds / nullif(r.seen, 0) AS avg_connections, r.max_connections,
		r.busy_seconds / nullif(r.seen, 0) AS avg_busy, r.p95_busy, r.max_busy,
		r.transactions::bigint AS transactions, r.transactions_per_second, r.hold_time,
		r.connects::bigint AS connects, r.disconnects::bigint AS disconnects,
		r.retired::bigint AS retired, r.refused::bigint AS refused,
		r.overflow_seconds / nullif(r.seen, 0) AS overflow_share,
		r.exhausted_seconds / nullif(r.seen, 0) AS exhausted_share,
		r.over_seconds / nullif(r.seen, 0) AS over_share, r.effective_samples,
		CASE WHEN r.effective_samples >= 30 THEN 'good' ELSE 'not enough data' END AS quality
	FROM rates AS r
)
EOS

# Rows of got against these: in which columns they differ, where a pool is missing, and how
# many pools there are.
my @exact =
  qw(max_connections p95_busy max_busy transactions connects disconnects retired refused quality);
my @rounded =
  qw(seconds_seen avg_connections avg_busy transactions_per_second hold_time overflow_share exhausted_share over_share effective_samples);

sub differences
{
	my ($stretches, $got, $which, $for_people) = @_;
	my $tolerance = $for_people ? 5e-4 : 1e-9;
	my $differs   = join ', ', map({ "CASE WHEN g.$_ IS DISTINCT FROM e.$_ THEN '$_' END" } @exact),
	  map(
		{ "CASE WHEN (g.$_ IS NULL) <> (e.$_ IS NULL) OR abs(g.$_ - e.$_) > $tolerance * greatest(abs(e.$_), 1) THEN '$_' END"
		} @rounded);
	$which //= 'true';
	return <<"EOS";
WITH stretches AS ($stretches), $formulas, got AS ($got)
SELECT coalesce(string_agg(format('%s (%s): %s', pool, span, x.columns), '; ') FILTER (WHERE x.columns <> ''), '')
	|| format('|%s', count(*))
FROM (SELECT pool, span, concat_ws(' ', CASE WHEN e.seen IS NULL THEN 'besides' WHEN g.seen IS NULL THEN 'missing' END, $differs) AS columns
	FROM (SELECT *, extract(epoch FROM seen) AS seconds_seen FROM expected WHERE $which) AS e
		FULL JOIN (SELECT *, extract(epoch FROM seen) AS seconds_seen FROM got WHERE $which) AS g USING (pool, span)) AS x
EOS
}

subtest 'the view, where all minutes of a day are there' => sub {
	lay_out($node, "date_trunc('minute', now()) - interval '1499 min'",
		"date_trunc('hour', now())");

	# once more if the worker looks in between
	wait_for(
		$node,
		differences(
			"SELECT h.*, s.span, 1 AS weight FROM (VALUES ('hour', interval '1 hour'), ('day', interval '1 day')) AS s(span, length)
				JOIN pool_monitor.history() AS h ON h.resolution = interval '1 minute' AND h.bucket_start >= now() - s.length",
			'SELECT * FROM pool_monitor.workload',
			'true', 1
		),
		'hour and day of each pool are what their minutes come to',
		'|26'
	);
	is(
		query(
			$node,
			"SELECT string_agg(DISTINCT quality, ', '), count(*) FILTER (WHERE avg_busy IS NULL) FROM pool_monitor.workload WHERE pool IN ('full', 'blind')"
		),
		'good, not enough data|2',
		'enough data, and too little'
	);
};

# By hours before the oldest minute: which of them, lay_out() says.
my $from_hours = "(pool = 'full' OR pool LIKE 'more%')";

sub stretches
{
	my ($since, $until) = @_;
	my $in   = "h.bucket_start >= $since AND h.bucket_start < $until";
	my $hour = "mark('hour') >= $since AND mark('hour') < $until";
	return <<"EOS";
SELECT h.*, 'x' AS span, 1 AS weight FROM pool_monitor.history() AS h
WHERE h.resolution = '1 minute' AND $in AND NOT ($from_hours AND $hour AND h.bucket_start < mark('hour') + interval '1 hour')
UNION ALL
SELECT h.*, 'x', least(greatest(ceil(h.seen / 60), 1), 60)::int FROM pool_monitor.history() AS h
WHERE h.resolution = '1 hour' AND $in AND h.bucket_start < mark('oldest') AND (h.bucket_start < mark('hour') OR $from_hours)
EOS
}

subtest 'any span, with hours before the oldest minute' => sub {
	lay_out(
		$node,
		"date_trunc('hour', now()) - interval '103 min'",
		"date_trunc('hour', now()) - interval '30 hours'"
	);
	my %pools;
	foreach (@spans)
	{
		my ($since,  $until) = @$_;
		my ($differ, $n)     = split /\|/,
		  query(
			$node,
			differences(
				stretches($since, $until),
				"SELECT *, 'x' AS span FROM pool_monitor.workload(since => $since, until => $until)"
			)
		  );
		is($differ, '', "from $since until $until");
		$pools{$n}++;
	}
	cmp_ok($pools{13} // 0, '>=', 13, 'most have a row for each pool but the one that did nothing');
	cmp_ok($pools{0}  // 0, '>=', 3,  'some have none');
};

subtest 'one pool; NULL is all, a day ago, and no bound' => sub {
	my $gone = "pool = 'gone'";
	foreach (
		["'gone'",                 "now() - interval '24 hours'", "'infinity'", 'no bound'],
		["'gone', NULL, NULL",     "now() - interval '24 hours'", "'infinity'", 'NULL'],
		["'gone', mark('oldest')", "mark('oldest')",              "'infinity'", 'from then on'],
		[
			"'gone', NULL, mark('oldest')",
			"now() - interval '24 hours'",
			"mark('oldest')",
			'until then'
		]
	  )
	{
		my ($arguments, $since, $until, $what) = @$_;
		is(
			query(
				$node,
				differences(
					stretches($since, $until),
					"SELECT *, 'x' AS span FROM pool_monitor.workload($arguments)", $gone
				)
			),
			'|1',
			"a pool that is not declared any more: $what"
		);
		is(query($node, "SELECT string_agg(pool, ', ') FROM pool_monitor.workload($arguments)"),
			'gone', "$what: no other");
	}
	is(
		query($node, "SELECT count(*) FROM pool_monitor.workload('$_->[0]', until => mark('now'))"),
		'0',
		"$_->[1]: no row"
	) foreach ['idle', 'nothing has happened'], ['nobody', 'an unknown pool'], ['', 'no name'];
};

# The worker looks once a minute, so this is true at the second try at the latest.
subtest 'the last minute, when it is long ago' => sub {
	wait_for(
		$node,
		"SELECT replay_rings(ARRAY[date_trunc('minute', now()) - interval '9 min', date_trunc('minute', now())], ARRAY[date_trunc('hour', now())]);
		SELECT replay_stretch('(server)', '1 min', date_trunc('minute', now()) - interval '9 min', 60, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0);
		SELECT status = 'fail' AND evidence LIKE '%last minute in history ' || (date_trunc('minute', now()) - interval '9 min')
		FROM pool_monitor.checklist WHERE item = 6",
		'the checklist says so',
		"\n\nt"
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
