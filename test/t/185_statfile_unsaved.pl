# A file of statistics that was read at the start and cannot be replaced: a crash after that
# is noticed all the same, and no number of an event comes twice. Only TAP can put something
# in the file's way while a server is down, and crash it.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node = statfile_server('statfile_unsaved');
my $file = file_of($node);
my $last = 'SELECT max(seq) FROM pool_monitor.events';

come_and_go($node);
$node->stop;
my $saved = contents($file);
is(field($saved, 'complete'), 1, 'saved in good order');
mkdir "$file.tmp" or die "$file.tmp: $!";

sub start
{
	my $offset = -s $node->logfile;
	$node->start;
	return wait_for_log($node, $not_written, 'it starts, and cannot save', $offset);
}

# All that there is of it is in memory: it is lost in the crash.
sub something_happens
{
	query($node, 'SELECT pool_monitor.reset()');
	return query($node, $last);
}

subtest 'what is in the file' => sub {
	start();
	ok(until_true(sub { field(contents($file), 'complete') == 0 }),
		'the file says that the server is running');
	is(body_of(contents($file)), body_of($saved), 'but for that it is as it was');
	is(query($node, $events),    'started',       'and was used');
};

foreach my $crash ('a crash', 'another one')
{
	subtest $crash => sub {
		my $seen = something_happens();
		$node->stop('immediate');
		start();
		wait_for($node, $events, 'an event says so', "started, statistics_lost: $disorder");
		cmp_ok(query($node, "SELECT min(seq) FROM pool_monitor.events WHERE $since_start"),
			'>', $seen, 'no number of an event comes again');
		is(
			query(
				$node,
				"SELECT connects FROM pool_monitor.pool_stats WHERE application_name = 'batch'"
			),
			'1',
			'what was in the file is there'
		);
	};
}

rmdir "$file.tmp" or die "$file.tmp: $!";
$node->restart;
is(query($node, $events),          'started', 'when it can save, nothing is lost');
is(log_count($node, 'PANIC|TRAP'), 0,         'no PANIC');
done_testing();
