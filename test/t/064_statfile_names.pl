# A file of statistics that an older or newer state of the library has written is read as
# far as both know it, by names; what is unknown is told of, and nothing is credited to
# another name. Only TAP can write such files, and has each read by a server that starts
# again.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use PoolMonitorStatfileReader;
use Test::More;

use constant {INT => 1, UINT => 2, TEXT => 4};

my $node    = statfile_server('statfile_names');
my $reader  = PoolMonitorStatfileReader->new($node);
my $file    = file_of($node);
my $now     = int(time / 60) * 60;
my $unknown = qr/WARNING:  pool_monitor does not know all that is in its file of statistics/;

# Two applications of one name, which only database and role tell apart, and no number
# that is another's too.
my $value  = 1000;
my $parsed = parsed(with_history($reader->{saved}, 60, map { $now - 60 * $_ } reverse 2 .. 5));
foreach my $record (grep { $_->{layout} eq 'account' } @{$parsed->{records}})
{
	my $row = $record->{rows}[0];
	$row->{$_} = $value++ foreach grep { /^(counted|declined) / } keys %$row;
	my $ends = 0;
	$ends += $row->{$_} foreach grep { /^counted (ended_|retired$)/ } keys %$row;
	$row->{'counted taken_over'} = 0;
	$row->{'counted given_over'} = 0;
	$row->{'counted connects'}   = $ends;
	$row->{'in history ends'}    = $ends;
	$row->{"in history $_"}      = $row->{"counted $_"}
	  foreach qw(connects refused retired transactions);
}
my ($batch) =
  grep { $_->{layout} eq 'account' && $_->{rows}[0]{name} =~ /^batch\0/ } @{$parsed->{records}};
push @{$parsed->{records}},
  {
	layout => 'account',
	rows   => [{%{$batch->{rows}[0]}, usename => 'namesake', 'counted refused' => 7}]
  };

sub copy { return parsed(built($parsed)) }

# What the file said, as the views have it: counters, history and events of before.
my $last = field($parsed->{header}, 'last_event');

sub ask { my ($sql) = @_; return query($node, $sql) }

# What of the file is to be seen, without these columns: counters, history and events.
sub shown
{
	my (@without) = @_;
	my $list      = join ', ', map { "'$_'" } 'average_busy', 'busy_seconds', @without;
	$reader->{pid} = ask($worker);
	return {
		stats => ask(
			"SELECT jsonb_agg(to_jsonb(s) - ARRAY[$list] ORDER BY s.pool, s.application_name, s.usename) FROM pool_monitor.pool_stats s WHERE s.pool IN ('app', 'alive') OR s.application_name = 'batch'"
		),
		history => ask(
			"SELECT jsonb_agg(to_jsonb(h) - ARRAY[$list] ORDER BY h.bucket_start, h.pool) FROM pool_monitor.history h WHERE h.bucket_start <= to_timestamp($now - 120) AND h.resolution = '1 minute'"
		),
		events => ask(
			"SELECT jsonb_agg(to_jsonb(e) ORDER BY e.seq) FROM pool_monitor.events e WHERE e.seq <= $last"
		)
	};
}

sub complaints
{
	return log_count($node, $_[0], $reader->{offset});
}

sub stat_of
{
	my ($column, $usename) = @_;
	return ask(
		"SELECT $column FROM pool_monitor.pool_stats WHERE application_name = 'batch' AND usename = '$usename'"
	);
}

my $role = $batch->{rows}[0]{usename} =~ s/\0.*//sr;
my $was;

subtest 'a file of this state' => sub {
	my $built = built(parsed($reader->{saved}));
	is(length $built, length $reader->{saved}, 'the test knows all that is in it');
	is_deeply(parsed($built)->{$_}, parsed($reader->{saved})->{$_}, "and reads its $_ as they are")
	  foreach 'layouts', 'records';
	$reader->crash_with(built($parsed));
	$was = shown();
	is(complaints($not_used) + complaints($unknown), 0, 'no complaint');
	is(stat_of('refused', $role), $batch->{rows}[0]{'counted refused'}, 'each counter has its own');
	is(stat_of('refused', 'namesake'), 7, 'and each application of a name');
	is(
		stat_of('declined_reasons', $role) =~ tr/://,
		scalar(grep { /^declined / } keys %{$batch->{rows}[0]}) - 1,
		'each reason has its number'
	);
	like($was->{history}, qr/"app"/,     'there is history');
	like($was->{events},  qr/"started"/, 'and there are events');
};

subtest 'an older state: some fields are not there yet' => sub {
	my $old = copy();
	drop_field($old, 'account', $_)
	  foreach 'counted transactions', 'counted exhausted_ms', 'declined PROTECTED', 'hold_max';
	drop_field($old, 'bucket', 'over');
	drop_field($old, 'event', $_) foreach 'held_back', 'times';
	$reader->crash_with(built($old));
	my @without = qw(transactions exhausted_seconds declined_reasons hold_max over_seconds);
	my $is      = shown(@without);
	is(complaints($not_used) + complaints($unknown),      0,     'no complaint: nothing is lost');
	is(stat_of('transactions, exhausted_seconds', $role), '0|0', 'what was not counted is 0');
	unlike(stat_of('declined_reasons', $role), qr/protected role/, 'and no reason');
	$reader->crash_with(built($parsed));
	is_deeply($is, shown(@without), 'all else is as it was');
};

# Every field at another place, layouts in another order, and numbers of other widths.
subtest 'another order, and other widths' => sub {
	my $other = copy();
	$other->{layouts} = [reverse @{$other->{layouts}}];
	foreach my $layout (@{$other->{layouts}})
	{
		my $offset = 3;
		foreach my $f (reverse @{$layout->{fields}})
		{
			$f->{length} = {4 => 8, 8 => 4}->{$f->{length}}
			  if $f->{type} == UINT && $f->{name} =~ /^(counted|declined|max_|seen|connects|times)/;
			$f->{length} += 20 if $f->{type} == TEXT;
			$f->{offset} = $offset;
			$offset += $f->{length} + 1;
		}
		$layout->{fields}     = [reverse @{$layout->{fields}}];
		$layout->{row_length} = $offset;
	}
	$reader->crash_with(built($other));
	is_deeply(shown(), $was, 'all is as it was');
	is(complaints($not_used) + complaints($unknown), 0, 'no complaint');
};

# One that counts more, gives more reasons, keeps more history, and knows more events.
subtest 'a state of the future' => sub {
	my $new = copy();
	add_field($new, 'account', 'counted migrated',     7777);
	add_field($new, 'account', 'declined BAD_WEATHER', 8888);
	add_field($new, 'bucket',  'drowned',              99,  length => 2);
	add_field($new, 'account', 'hold_min',             0.5, type   => 3);
	push @{$new->{layouts}},
	  {
		name       => 'weather',
		row_length => 8,
		fields     => [{name => 'rain', type => UINT, offset => 0, length => 8}]
	  };
	push @{$new->{records}},
	  {layout => 'weather', rows => [{rain       => 1}, {rain => 2}]},
	  {layout => 'ring',    rows => [{resolution => 86_400_000_000}]},
	  {layout => 'start',   rows => [{start      => 1}]},
	  {layout => 'series',  rows => [{name       => 'app'}]},
	  {layout => 'bucket',  rows => [{connects   => 12_345}]},
	  {
		layout => 'event',
		rows   => [{seq => $last + 1, at => 1, kind => 'teleported', detail => '{}', times => 1}]
	  };
	my $data = built($new);
	$reader->crash_with($data);
	is_deeply(shown(), $was, 'what is known is as it was');
	is(complaints($not_used), 0, 'it is used');
	my ($told) = PoolMonitor::log_text($node, $reader->{offset}) =~ /$unknown.*\n.*Left out: (.*)/;
	like($told, qr/\Q$_\E/, "told of: $_")
	  foreach 'field "account.counted migrated"', 'field "account.declined BAD_WEATHER"',
	  'field "account.hold_min"', 'field "bucket.drowned"', 'rows "weather"', 'history by 86400 s',
	  'event "teleported"';
	ok((contents("$file.bad") // '') eq $data, 'and the file is kept');
	is(
		ask(
			"SELECT count(*) FROM pool_monitor.events WHERE event = 'statistics_lost' AND detail->>'reason' = 'written by another version' AND detail->>'left_out' LIKE '%migrated%' AND $since_start"
		),
		'1',
		'an event tells of it too'
	);
	is(
		ask(
			'SELECT count(*) FROM pool_monitor.pool_stats s, jsonb_each_text(to_jsonb(s)) c WHERE c.value IN (\'7777\', \'8888\', \'12345\')'
		),
		'0',
		'no name has got what is of another'
	);
};

# Ends of a kind that we do not know: the history has them, and gets none of them twice.
subtest 'sessions that ended in a way of the future' => sub {
	my $new = copy();
	add_field($new, 'account', 'counted ended_upwards', 500);
	each_row(
		$new,
		'account',
		sub {
			$_[0]{$_} += 500 foreach 'counted connects', 'in history ends', 'in history connects';
		}
	);
	$reader->crash_with(built($new));
	is(
		stat_of('ended_lost', $role),
		$batch->{rows}[0]{'counted ended_lost'} + 500,
		'how they ended is not known'
	);
	worker_works($node, 1);
	is(
		ask(
			"SELECT sum(disconnects) FROM pool_monitor.history WHERE pool = 'app' AND resolution = '1 minute' AND bucket_start > to_timestamp($now - 120)"
		),
		'0',
		'but that they did, and when, it was known before'
	);
	$reader->{pid} = ask($worker);
};

subtest 'a name that is too long for us is nobody else' => sub {
	my $new    = copy();
	my ($name) = grep { $_->{name} eq 'name' } @{layout_of($new, 'account')->{fields}};
	my $layout = layout_of($new, 'account');
	$name->{length} = 100;
	$name->{offset} = $layout->{row_length};
	$layout->{row_length} += 100;
	push @{$new->{records}},
	  {
		layout => 'account',
		rows   => [{%{$batch->{rows}[0]}, name => 'x' x 80, 'counted refused' => 4321}]
	  };
	$reader->crash_with(built($new));
	is_deeply(shown(), $was, 'all is as it was');
	like(
		PoolMonitor::log_text($node, $reader->{offset}),
		qr/Left out: names that are too long/,
		'it is told of'
	);
	is(ask("SELECT pool FROM pool_monitor.pool_stats WHERE refused >= 4321"),
		'(other)', 'and counted among others');
};

# Of a list that is cut where an event has no more room, the view can still be read,
# wherever the cut is.
subtest 'more that is unknown than an event has room for' => sub {
	foreach my $length (1 .. 6)
	{
		my $new = copy();
		add_field($new, 'account', 'counted ' . 'x' x $length . $_, 1) foreach 10 .. 40;
		$reader->crash_with(built($new));
		like(
			ask(
				"SELECT detail->>'left_out' FROM pool_monitor.events WHERE event = 'statistics_lost' AND detail ? 'left_out' AND $since_start"
			),
			qr/^field "account.counted x/,
			"names of $length"
		);
		$reader->{pid} = ask($worker);
	}
	ok(-e $file, 'the file is there');
};

# The rows are as they were, and described otherwise; or there are others.
# What the history has of these, it must not seem to lack or to have too much of.
subtest 'other counters of the future' => sub {
	my $new = copy();
	add_field($new, 'account', 'counted refused_upwards', 300);
	add_field($new, 'account', 'counted arrivals',        400);
	each_row(
		$new,
		'account',
		sub {
			my ($row) = @_;
			$row->{'in history refused'}   += 300;
			$row->{'counted ended_client'} += 400;
			$row->{'in history ends'}      += 400;
		}
	);
	$reader->crash_with(built($new));
	is(stat_of('connects - disconnects', $role), 0,                           'it adds up');
	is(stat_of('ended_lost', $role), $batch->{rows}[0]{'counted ended_lost'}, 'none was lost');
	worker_works($node, 1);
	is(
		ask(
			"SELECT sum(refused), sum(disconnects) FROM pool_monitor.history WHERE pool = 'app' AND resolution = '1 minute' AND bucket_start > to_timestamp($now - 120)"
		),
		'0|0',
		'the history has them already'
	);
	$reader->{pid} = ask($worker);
};

sub nonsense
{
	my ($what, $describe, @records) = @_;
	my $new = copy();
	unshift @{$new->{records}}, @records;
	$reader->refuses(built($new, $describe), 'it makes no sense', $what);
	return;
}

subtest 'descriptions that make no sense' => sub {
	my $bucket = sub { return layout_of($_[0], 'bucket')->{fields}[0] };
	my $start  = sub { return layout_of($_[0], 'start') };
	nonsense('a field that is longer than the row',
		sub { $start->($_[0])->{fields}[0]{offset} = 1 });
	nonsense('a field far behind it',   sub { $bucket->($_[0])->{offset}           = 0xFFFFFFF0 });
	nonsense('a number of three bytes', sub { $start->($_[0])->{fields}[0]{length} = 3 });
	nonsense('a field without a name',  sub { $bucket->($_[0])->{name}             = '' });
	nonsense('a name that is no text',  sub { $start->($_[0])->{name}              = "st\x01rt" });
	nonsense('rows of no length',       sub { $start->($_[0])->{row_length}        = 0 });
	nonsense('rows of another length',  sub { $start->($_[0])->{row_length}        = 9 });
	nonsense('a field that is there twice',
		sub { push @{$start->($_[0])->{fields}}, $start->($_[0])->{fields}[0] });
	nonsense('a layout that is there twice', sub { push @{$_[0]{layouts}}, $start->($_[0]) });
	nonsense(
		'too many layouts',
		sub {
			push @{$_[0]{layouts}}, map { {name => "l$_", row_length => 1, fields => []} } 1 .. 100;
		}
	);
	nonsense('times of no account',  sub { }, {layout => 'hold',  rows => [{us => 1, count => 1}]});
	nonsense('starts of no ring',    sub { }, {layout => 'start', rows => [{start => 1}]});
	nonsense('buckets of no series', sub { }, {layout => 'bucket', rows => [{}]});
	nonsense(
		'accounts without a name',
		sub {
			my $l = layout_of($_[0], 'account');
			$_->{name} =~ s/^usename$/login/ foreach @{$l->{fields}};
		}
	);
	nonsense('two accounts in one',
		sub { }, {layout => 'account', rows => [$batch->{rows}[0], $batch->{rows}[0]]});
	nonsense('events out of order',
		sub { },
		map { {layout => 'event', rows => [{seq => $_, kind => 'storm', detail => '{}'}]} } 2, 1);
	$reader->crash_with(built($parsed));
	is_deeply(shown(), $was, 'after all of that');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
