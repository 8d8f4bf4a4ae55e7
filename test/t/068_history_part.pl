# history() of a part: one pool, one resolution, a span of time, against what is known to
# be in the rings. Only TAP has a past: it is replayed by a library of the tests.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorPast;
use Test::More;

my $node = past_server('history_part');
lay_out(
	$node,
	"date_trunc('hour', now()) - interval '103 min'",
	"date_trunc('hour', now()) - interval '30 hours'"
);

my $columns =
  'pool, resolution, bucket_start, seen, max_connections, max_busy, connects, disconnects, refused, retired, transactions, overflow_seconds, exhausted_seconds, over_seconds';
my $known =
  "SELECT pool, resolution, bucket_start, seen, max_connections, max_busy, connects, disconnects, refused, retired, transactions, overflow, exhausted, over FROM past WHERE (seen > 0 OR connects > 0 OR disconnects > 0 OR refused > 0)";

# The stretch of now is the worker's, in the table is none of it.
my $settled =
  "(resolution = '1 minute' AND bucket_start < mark('now') OR bucket_start < date_trunc('hour', mark('now')))";

sub part
{
	my ($arguments) = @_;
	return "SELECT $columns FROM pool_monitor.history($arguments) WHERE $settled";
}

# Rows that one has and the other has not, and how many there are.
sub differs
{
	my ($got, $expected) = @_;
	return query($node,
		"WITH got AS ($got), expected AS ($expected) SELECT (SELECT count(*) FROM (TABLE got EXCEPT ALL TABLE expected) AS x), (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE got) AS x), (SELECT count(*) FROM got)"
	);
}

subtest 'the view has what is in the rings' => sub {
	my $n = query($node, "SELECT count(*) FROM ($known) AS k");
	cmp_ok($n, '>', 900, 'there is a past');
	is(differs("SELECT $columns FROM pool_monitor.history WHERE $settled", $known),
		"0|0|$n", 'all of it, and nothing else');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.history AS h JOIN past AS p USING (pool, resolution, bucket_start) WHERE h.seen > 0 AND (abs(h.avg_connections - p.connections) > 1e-4 OR abs(h.avg_busy - p.busy) > 1e-4) OR h.seen = 0 AND num_nonnulls(h.avg_connections, h.avg_busy) > 0"
		),
		'0',
		'with its averages'
	);
};

subtest 'a span of time, and no more' => sub {
	my %rows;
	foreach (@spans)
	{
		my ($since, $until) = @$_;
		my ($missing, $besides, $n) = split /\|/,
		  differs(part("since => $since, until => $until"),
			"$known AND bucket_start >= $since AND bucket_start < $until");

		is("$missing $besides", '0 0', "from $since until $until");
		$rows{$n > 0 ? 'some' : 'none'}++;
	}
	cmp_ok($rows{some}, '>=', 13, 'most have rows');
	cmp_ok($rows{none}, '>=', 3,  'and some none');
};

subtest 'one pool, one resolution' => sub {
	my $since = "mark('hour') - interval '3 hours'";
	foreach my $pool ('full', 'rare', 'blind', 'gone', '(server)')
	{
		foreach my $resolution ('1 minute', '1 hour')
		{
			my $where = "pool = '$pool' AND resolution = '$resolution'";
			my $n     = query($node,
				"SELECT count(*) FROM ($known) AS k WHERE $where AND bucket_start >= $since");
			cmp_ok($n, '>', 0, "$pool, $resolution: there are some");
			is(
				differs(
					part("'$pool', '$resolution', $since"),
					"$known AND $where AND bucket_start >= $since"
				),
				"0|0|$n",
				"$pool, $resolution: these"
			);
		}
		is(
			differs(part("pool => '$pool', until => mark('now')"), "$known AND pool = '$pool'") =~
			  s/\d+$//r,
			'0|0|',
			"$pool: both resolutions"
		);
	}
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.history('$_->[0]', '1 minute', until => mark('now'))"
		),
		'0',
		"$_->[1]: no rows"
	) foreach ['idle', 'nothing has happened'], ['nobody', 'an unknown pool'], ['', 'no name'];
	is(
		differs(
			part("'gone', '60 seconds'") . ' UNION ALL ' . part("'gone', '60 minutes', NULL, NULL"),
			"$known AND pool = 'gone'"
		) =~ s/\d+$//r,
		'0|0|',
		'a minute of 60 seconds, an hour of 60 minutes; NULL is no bound'
	);
};

subtest 'another resolution is an error' => sub {
	foreach my $resolution ('2 minutes', '0', '1 day', '1 month', '1 day 1 minute', '-1 hour')
	{
		my ($rc, $out, $err) =
		  $node->psql('postgres',
			"SELECT count(*) FROM pool_monitor.history(resolution => '$resolution')");
		like(
			$err,
			qr/ERROR:  resolution must be interval '1 minute' or interval '1 hour'/,
			"$resolution: an error that names both"
		);
	}
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
