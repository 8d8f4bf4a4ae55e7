# A file of statistics in good form whose values nobody can have had, and that would make a
# view fail or find nothing, is set aside; those at the edges are used, and every view can
# show them. Only TAP can write such files.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use PoolMonitorStatfileReader;
use Test::More;

# of PostgreSQL: the first moment, the one after the last, and its infinities
use constant {
	START    => -211_813_488_000_000_000,
	PAST_END => 9_223_371_331_200_000_000,
	NOBEGIN  => -9_223_372_036_854_775_807 - 1,
	NOEND    => 9_223_372_036_854_775_807
};
use constant {MOST => 262_143, INFINITY => 9**9**9};

my $node   = statfile_server('statfile_values');
my $reader = PoolMonitorStatfileReader->new($node);
my $now    = int(time / 60) * 60;
my $saved  = with_history($reader->{saved}, 60, map { $now - 60 * $_ } reverse 2 .. 5);

# Changes the last row of this layout, of a record that has so many of them.
sub change
{
	my ($file, $layout, $least, %values) = @_;
	my ($record) =
	  grep { $_->{layout} eq $layout && @{$_->{rows}} >= $least } reverse @{$file->{records}};
	my $row = $record->{rows}[-1];
	$row->{$_} = $values{$_} foreach keys %values;
	return;
}

# Of the minutes, which come first, and of which there are four.
sub with_starts
{
	my ($file, $code) = @_;
	my ($record) = grep { $_->{layout} eq 'start' } @{$file->{records}};
	$record->{rows} = [map { {start => $_} } $code->(map { $_->{start} } @{$record->{rows}})];
	return;
}

sub nonsense
{
	my ($what, $change) = @_;
	my $file = parsed($saved);
	$change->($file);
	$reader->refuses(built($file), 'it makes no sense', $what);
	return;
}

sub row
{
	my ($layout, $field, @values) = @_;
	foreach my $value (@values)
	{
		nonsense("$layout: $field $value", sub { change($_[0], $layout, 1, $field => $value) });
	}
	return;
}

subtest 'moments that no view can show' => sub {
	row('account', 'peak_at',     PAST_END, START - 1);
	row('account', 'stats_reset', NOEND);
	row('account', 'sized_since', NOEND,   START - 1);
	row('event',   'at',          NOBEGIN, PAST_END);
	nonsense(
		'the first start',
		sub {
			with_starts($_[0], sub { (START - 1, @_[1 .. 3]) });
		}
	);
	nonsense(
		'the last start',
		sub {
			with_starts($_[0], sub { (@_[0 .. 2], PAST_END) });
		}
	);
};

subtest 'starts that are not in order' => sub {
	nonsense(
		'two that are equal',
		sub {
			with_starts($_[0], sub { @_[0, 1, 1, 3] });
		}
	);
	nonsense(
		'the other way round',
		sub {
			with_starts($_[0], sub { reverse @_ });
		}
	);
};

subtest 'numbers that nobody counts' => sub {
	row('bucket', $_, INFINITY, INFINITY - INFINITY, -1, 1e300) foreach 'connections', 'busy';
	row('bucket', $_, INFINITY, INFINITY - INFINITY, -1)
	  foreach 'waited', 'checked out', 'reported open';
	row('bucket', $_, -1, MOST + 1) foreach 'max_connections', 'max_busy';
};

subtest 'details that are no jsonb' => sub {
	row(
		'event', 'detail', '', '[]', '{', '{"a": x}', '{"a": "' . "\xe9" . '"}',
		"{\"a\":\n1}",
		'{"a": "\u0000"}',
		'{"a": 1e200000}',
		'{"a": "b\"", "c": 1E9}'
	);
};

subtest 'names that no pool can have' => sub {
	foreach my $layout ('account', 'event', 'series')
	{
		foreach my $name ("\xe9", "a\nb")
		{
			nonsense(
				"$layout: " . ($name =~ /\n/ ? 'a line end' : 'not ASCII'),
				sub { change($_[0], $layout, 1, name => $name, discovered => 0) }
			);
		}
	}
};

subtest 'what is at the edge of all that' => sub {
	my $file    = parsed($saved);
	my $detail  = '{"a": "\\\\u0000 1e9 \"", "b": 1.5, "true": true}';
	my %largest = (
		connections     => 1000.0 * 4_294_967_295 * MOST,
		busy            => 1000.0 * 4_294_967_295 * MOST,
		max_connections => MOST,
		max_busy        => MOST
	);
	change(
		$file, 'account', 1,
		peak_at     => PAST_END - 1,
		stats_reset => START,
		sized_since => NOBEGIN
	);
	change(
		$file, 'event', 1,
		at         => PAST_END - 1,
		detail     => $detail,
		discovered => 1,
		name       => "\xe9"
	);
	change($file, 'bucket', 4, %largest);
	with_starts($file, sub { (START, @_[1 .. 3]) });
	$reader->accepts(built($file), 'is used');
	is(query($node, "SELECT detail->>'a' FROM pool_monitor.events WHERE detail ? 'a'"),
		'\u0000 1e9 "', 'with its detail');

	foreach my $view (
		split /\n/,
		query(
			$node,
			"SELECT relname FROM pg_class WHERE relnamespace = 'pool_monitor'::regnamespace AND relkind = 'v' ORDER BY 1"
		)
	  )
	{
		my ($rc, $out, $err) = $node->psql('postgres', "TABLE pool_monitor.$view");
		is($rc, 0, "and shown by $view") or diag $err;
	}
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
