# A file of statistics with every CRC right that is not this server's, or of another
# version, or makes no sense, is noticed, set aside and not used. Only TAP can write
# such files, and has a second server and a standby whose files they are.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use PoolMonitorStatfileReader;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = statfile_server('statfile_foreign');
my $reader = PoolMonitorStatfileReader->new($node);
my $saved  = $reader->{saved};

sub ask { my ($sql) = @_; return query($node, $sql) }

subtest 'of another version or server' => sub {
	$reader->refuses(
		sealed(with_field($saved, 'format', field($saved, 'format') + 1)),
		'it was written by another version of pool_monitor',
		'another format'
	);
	foreach my $step (-1, 1)
	{
		$reader->refuses(
			sealed(with_field($saved, 'major', field($saved, 'major') + $step)),
			'it was written under another major version of PostgreSQL',
			"another major ($step)"
		);
	}
	$reader->refuses(sealed(with_field($saved, $_, field($saved, $_) ^ 1)), $foreign, "another $_")
	  foreach 'system_identifier', 'inode';
};

subtest 'what cannot be made sense of is not used in part' => sub {
	foreach my $tail (
		['a record of no kind',       pack 'L L', 99, 0],
		['a record without its data', pack 'L L', 1,  8],
		['half a record',             pack 'L',   0]
	  )
	{
		my ($what, $bytes) = @$tail;
		$reader->refuses(sealed($saved . $bytes), 'it makes no sense', "$what at the end");
	}
	$reader->accepts($saved, 'after all of that');
};

my $other;
subtest q{another server's} => sub {
	local $ENV{INITDB_COPIES} = '';    # no copy: with a system identifier of its own
	$other = new_server('other', "log_min_messages = warning\n");
	$other->stop;
	isnt(
		field(contents(file_of($other)), 'system_identifier'),
		field($saved,                    'system_identifier'),
		'another server'
	);
	$reader->refuses(contents(file_of($other)), $foreign, q{another server's file});
	$reader->accepts($saved, q{after another server's});
};

my $standby;
subtest q{a standby's} => sub {
	$node->backup('backup');
	my $original = contents($node->backup_dir . '/backup/pg_stat/pool_monitor.stat');
	is(
		field($original, 'system_identifier'),
		field($saved,    'system_identifier'),
		'a backup has the file'
	);
	$standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	ok(
		until_true(
			sub { my $now = contents(file_of($standby)); return defined $now && $now ne $original }
		),
		'the standby has a file of its own'
	);
	my @why = PoolMonitor::log_text($standby) =~ /$not_used .*: (.*)/g;
	is("@why", $foreign, 'the standby says that it does not use the one of its original');
	ok((contents(file_of($standby) . '.bad') // '') eq $original, 'and sets it aside');
	wait_for($standby, $events, 'and an event says so', "started, statistics_lost: $foreign");
	is(
		$standby->safe_psql(
			'postgres',
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"
		),
		'0',
		'and it begins anew'
	);
	my $batch = PoolMonitor::Holder->new($standby, application_name => 'batch', sessions => 2);
	$batch->close;
	my $offset = -s $standby->logfile;
	$standby->restart;
	wait_for(
		$standby,
		"SELECT connects, disconnects FROM pool_monitor.pool_stats WHERE application_name = 'batch'",
		'its own file it uses',
		'2|2'
	);
	is(log_count($standby, $not_used, $offset),  0,         'without a complaint');
	is($standby->safe_psql('postgres', $events), 'started', 'and nothing is lost');
	$standby->stop;
	is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
		'1', 'the original has kept its own');
};

foreach my $server ($node, $other, $standby)
{
	is(log_count($server, 'PANIC|TRAP'), 0, 'no PANIC of ' . $server->name);
}
done_testing();
