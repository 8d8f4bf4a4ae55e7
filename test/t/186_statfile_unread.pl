# A file of statistics that could not be read when the server started, because its folder
# was closed to it or not there, is not lost when it is back: the first save sets it aside.
# Only TAP can take the folder away and give it back.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node   = statfile_server('statfile_unread');
my $file   = file_of($node);
my $folder = $node->data_dir . '/pg_stat';
my $found  = qr/LOG:  pool_monitor found a file of statistics that was not to be read/;

# Takes the folder away, and gives it back when the server runs without what was in it.
sub comes_back
{
	my ($away, $back) = @_;
	$node->stop;
	my $saved  = contents($file);
	my $offset = -s $node->logfile;
	$away->();
	$node->start;
	wait_for_log($node, $not_written, 'it cannot save', $offset);
	query($node, 'SELECT pool_monitor.reset()');
	$back->();
	wait_for_save($node, 'it saves when it can');
	ok((contents("$file.bad") // '') eq $saved, 'what was there is kept aside');
	is(log_count($node, $found, $offset), 1, 'and the log says so, once');
	unlink "$file.bad" or die "$file.bad: $!";
	return;
}

set($node, "save_interval = '1s'");
$node->reload;

subtest 'a folder that is closed' => sub {
	comes_back(sub { chmod 0, $folder or die $! }, sub { chmod 0700, $folder or die $! });
};

subtest 'a folder that is not there' => sub {
	comes_back(
		sub { rename $folder, "$folder.away" or die $! },
		sub { rename "$folder.away", $folder or die $! }
	);
};

subtest 'what was read is replaced' => sub {
	my $offset = -s $node->logfile;
	$node->restart;
	wait_for_save($node, "it saves, $_") foreach 'once', 'and again';
	is(log_count($node, $found, $offset), 0, 'and the log says nothing');
	ok(!-e "$file.bad", 'nothing is set aside');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
