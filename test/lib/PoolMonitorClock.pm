# A server with a wall clock of its own, which a test sets (libfaketime); its
# monotonic clock is the machine's.
package PoolMonitorClock;

use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

sub library
{
	my ($library) =
	  grep { -e } glob '/usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1';
	return $library;
}

# The file that says how wrong the clock is is replaced as a whole.
sub write_clock
{
	my ($self, $text) = @_;
	unlink "$self->{file}.new";
	append_to_file("$self->{file}.new", "$text\n");
	rename "$self->{file}.new", $self->{file} or die "rename: $!\n";
	return;
}

sub now
{
	my ($self) = @_;
	return $self->{node}
	  ->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())::float8');
}

# Moves the clock by so many seconds.
sub step
{
	my ($self, $seconds) = @_;
	$self->{offset} += $seconds;
	$self->write_clock(sprintf '%+d', $self->{offset});
	return;
}

# Stops it; the next step lets it go on.
sub freeze
{
	my ($self) = @_;
	my @at = localtime(time + $self->{offset});
	$self->write_clock(
		sprintf '%04d-%02d-%02d %02d:%02d:%02d',
		$at[5] + 1900,
		$at[4] + 1,
		@at[3, 2, 1, 0]
	);
	return;
}

# Up to PostgreSQL 15 the postmaster starts the first worker in a signal handler.
# If that has interrupted libfaketime, the worker has the real clock for ever; one
# that is started again has not.
sub set_worker_right
{
	my ($self) = @_;
	my $node   = $self->{node};
	my $worker = "FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";

	foreach (1 .. 10)
	{
		wait_for($node, "SELECT count(*) > 0 FROM pool_monitor.history",
			'the worker has a history');
		return
		  if $node->safe_psql('postgres',
			"SELECT max(bucket_start) > clock_timestamp() - interval '1 h' FROM pool_monitor.history WHERE resolution = '1 minute'"
		  ) eq 't';
		my $old =
		  $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid), pid $worker") =~ s/t\|//r;
		wait_for($node, "SELECT count(*) $worker AND pid <> $old", 'another worker', '1');
		my $watched = $node->safe_psql('postgres', 'SELECT sum(seen) FROM pool_monitor.history');
		wait_for($node, "SELECT sum(seen) > $watched FROM pool_monitor.history", 'it watches');
	}
	die "the worker does not go by the server's clock\n";
}

# Starts the server, and leaves it two days behind. In the beginning it is ahead, as
# the postmaster does not start a worker again that has ended in the future. Later it
# must not be: libfaketime leaves alone what interrupts it in a wait, and so the
# handler that answers whether a session may be retired has the real clock.
sub new
{
	my ($class, $name, $conf) = @_;
	my $self = bless {file => "$PostgreSQL::Test::Utils::tmp_check/$name.clock", offset => 0},
	  $class;

	$self->step(24 * 3600);
	{
		local $ENV{LD_PRELOAD}              = library();
		local $ENV{FAKETIME_TIMESTAMP_FILE} = $self->{file};
		local $ENV{FAKETIME_NO_CACHE}       = 1;
		local $ENV{DONT_FAKE_MONOTONIC}     = 1;
		$self->{node} = new_server($name, $conf);
	}
	$self->set_worker_right;
	$self->step(-72 * 3600);
	wait_for(
		$self->{node},
		"SELECT max(bucket_start) < now() FROM pool_monitor.history",
		'the clock is behind'
	);
	return $self;
}

sub node { my ($self) = @_; return $self->{node} }

1;
