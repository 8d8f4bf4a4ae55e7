# A disk that is full, a file that cannot be written, opened or read: the worker goes on,
# the log says why, and says it once. Only TAP can put such things in the file's place
# while a server runs, and read its log.
use strict;
use warnings FATAL => 'all';
use Fcntl;
use POSIX       ();
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node = statfile_server('statfile_disk');
my $file = file_of($node);

sub ask { my ($sql) = @_; return query($node, $sql) }

my $offset;

# Makes the temporary file so that it cannot be removed or renamed. If a save was
# faster than we are, once more, after one that was good.
my $directory = $node->data_dir . '/pg_stat';

sub make_stuck
{
	my ($make) = @_;
	return until_true(
		sub {
			$offset = -s $node->logfile;
			$make->() or return 0;
			chmod 0500, $directory or die "$directory: $!";
			return 1 if lstat "$file.tmp";
			chmod 0700, $directory;
			wait_for_save($node, 'too late: once more');
			return 0;
		}
	);
}

# A session that is known by what was saved.
PoolMonitor::Holder->new($node, application_name => 'batch')->close;

my $good;    # what is in the file meanwhile
subtest 'a disk that is full' => sub {
	set($node, "save_interval = '1s'");
	$offset = -s $node->logfile;
	$node->reload;
	wait_for_save($node, 'it saves every second');
	ok(until_true(sub { symlink '/dev/full', "$file.tmp" }), 'the disk is full');
	ok(until_true(sub { !-l "$file.tmp" }), 'full disk: what could not be written is removed');
	wait_for_log(
		$node,
		qr/LOG:  ${not_written}No space left on device/,
		'full disk: the log says why', $offset
	);
	wait_for_save($node, 'full disk: when there is room, saving goes on');
};

subtest 'a disk that stays full' => sub {
	ok(make_stuck(sub { symlink '/dev/full', "$file.tmp" }), 'the disk stays full');
	$good = contents($file);
	wait_for_log(
		$node,
		qr/LOG:  ${not_written}No space left on device/,
		'full disk: the log says so', $offset
	);
	worker_works($node, 4);
	is(log_count($node, $not_written, $offset), 1, 'full disk: once in four seconds');
	is(log_count($node, qr/.*(?:pg_stat|No space).*/, $offset), 1, 'full disk: and nothing else');
	ok(contents($file) eq $good, 'full disk: the file stays as it is');
	chmod 0700, $directory;
	wait_for_save($node, 'full disk: saving goes on');
	unlike(PoolMonitor::log_text($node, $offset), $not_used, 'full disk: nothing was set aside');
};

subtest 'nothing can be written beside the file' => sub {
	$offset = -s $node->logfile;
	ok(until_true(sub { mkdir "$file.tmp" }), 'the temporary file cannot be made');
	$good = contents($file);
	wait_for_log($node, $not_written, 'cannot be made: the log says so', $offset);
	worker_works($node, 3);
	is(log_count($node, $not_written, $offset), 1, 'cannot be made: once in three seconds');
	ok(contents($file) eq $good, 'cannot be made: the file stays as it is');

	# the server stops in good order all the same
	my $batch = PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 1);
	$batch->close;
	$offset = -s $node->logfile;
	ok($node->stop('fast', fail_ok => 1), 'cannot be saved: the server stops');
	like(
		PoolMonitor::log_text($node, $offset),
		qr/database system is shut down/,
		'cannot be saved: in good order'
	);
	is(log_count($node, $not_written, $offset), 1, 'cannot be saved: the log says so');
	is(log_count($node, 'PANIC|TRAP|FATAL:  (?!terminating)', $offset),
		0, 'cannot be saved: no PANIC');
	ok(contents($file) eq $good, 'cannot be saved: the file stays as it is');
	$offset = -s $node->logfile;
	$node->start;
	wait_for(
		$node, $events,
		'cannot be saved: the next start says that something is lost',
		"started, statistics_lost: $disorder"
	);
	is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
		'1', 'cannot be saved: what was saved before is there');
	wait_for_log($node, $not_written, 'cannot be saved: still not', $offset);
	rmdir "$file.tmp" or die "$file.tmp: $!";
	wait_for_save($node, 'cannot be saved: it goes on when it can');
};

# Everything is written, but cannot take the place of the former file.
subtest 'the file cannot be replaced' => sub {
	ok(make_stuck(sub { sysopen my $new, "$file.tmp", O_WRONLY | O_CREAT | O_EXCL }),
		'the file cannot be replaced');
	$good = contents($file);
	wait_for_log($node, $not_written, 'cannot be replaced: the log says so', $offset);
	worker_works($node, 3);
	is(log_count($node, $not_written, $offset), 1, 'cannot be replaced: once in three seconds');
	is(log_count($node, qr/.*(?:pg_stat|Permission denied).*/, $offset),
		1, 'cannot be replaced: and nothing else');
	ok(contents($file) eq $good, 'cannot be replaced: the file stays as it is');
	chmod 0700, $directory or die "$directory: $!";
	wait_for_save($node, 'cannot be replaced: it goes on when it can');
};

subtest 'a file that cannot be opened' => sub {
	$node->stop;
	ok(!-e "$file.tmp", 'no temporary file is left');
	my $saved = contents($file);
	chmod 0, $file or die "$file: $!";
	$offset = -s $node->logfile;
	$node->start;
	wait_for(
		$node, $events,
		'cannot be opened: an event says so',
		'started, statistics_lost: it cannot be opened'
	);
	worker_works($node, 0.2);
	my @why = PoolMonitor::log_text($node, $offset) =~ /$not_used .*: (.*)/g;
	is("@why", 'it cannot be opened', 'cannot be opened: the log says so');
	chmod 0600, "$file.bad" if -e "$file.bad";
	ok((contents("$file.bad") // '') eq $saved, 'cannot be opened: set aside');
	my $new = contents($file);
	ok(defined $new && field($new, 'complete') == 0, 'cannot be opened: there is a new one');
	chmod 0600, $file;
	is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
		'0', 'cannot be opened: it begins anew');
};

# ---- what is no file to be read: the worker must not wait for it ----

sub strange
{
	my ($what, $make, $why) = @_;
	$node->stop;
	foreach my $path ($file, "$file.bad", "$file.tmp")
	{
		die "$path: $!" if -e $path && !unlink $path;
	}
	$make->();
	$node->start;
	wait_for($node, $events, "$what: an event says so", "started, statistics_lost: $why");
	worker_works($node, 0.2);
	ok(-f $file && -e "$file.bad", "$what: set aside, and there is a new one");
	return;
}

sub fifo
{
	my ($path) = @_;
	POSIX::mkfifo($path, 0600) or die "$path: $!";
	return;
}

sub sparse
{
	my ($content) = @_;
	put_contents($file, $content);
	truncate($file, 3 * 1024**3) or die "$file: $!";
	return;
}
subtest 'what is no file to be read' => sub {
	my $sound = contents($file);
	strange('a FIFO',        sub { fifo($file) }, 'it is not an ordinary file');
	strange('3 GB of zeros', sub { sparse('') },  q{it is not a file of pool_monitor's statistics});
	strange('3 GB after what it should be', sub { sparse($sound) }, 'it is not complete');
	unlink "$file.bad" or die "$file.bad: $!";
	wait_for_save($node, 'it saves');
	fifo("$file.tmp");
	wait_for_save($node, 'a FIFO in place of the temporary file: it saves all the same');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
