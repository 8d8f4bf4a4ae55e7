# A server that reads files: each is put in the place of its own, and the worker is
# killed.
package PoolMonitorStatfileReader;

use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorStatfile;
use Test::More;

# From now on the server saves only at its start, so nobody else writes the file. What
# a session of "batch" did is in the one that it has, which is $self->{saved}.
sub new
{
	my ($class, $node) = @_;
	my $file = file_of($node);
	my $self = bless {node => $node, file => $file}, $class;

	PoolMonitor::Holder->new($node, application_name => 'batch')->close;
	wait_for(
		$node,
		"SELECT connects = disconnects FROM pool_monitor.pool_stats WHERE application_name = 'batch'",
		'a session to be known by'
	);
	set($node, "save_interval = '1d'");
	$node->restart;
	ok(wait_until_running($node), 'the file is no longer complete');
	wait_for($node, $events, 'and nothing is lost', 'started');
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"
		),
		'1',
		'batch is back'
	);
	$self->{saved} = contents($file);
	$self->{pid}   = $node->safe_psql('postgres', $worker);
	return $self;
}

# Puts this in place of the file, and has it read by a crash restart.
sub crash_with
{
	my ($self, $data) = @_;
	my $file = $self->{file};
	unlink "$file.bad";
	put_contents($file, $data);
	$self->{offset} = -s $self->{node}->logfile;
	kill 'KILL', $self->{pid};
	until_true(
		sub {
			my $now = contents($file);
			return defined $now && $now ne $data;
		}
	) or die "the server does not come back\n";
	return;
}

# One row of what is to be seen after that, and the worker for the next time.
sub after_crash
{
	my ($self) = @_;
	my ($rc, $out, $err) = $self->{node}->psql('postgres',
		"SELECT ($worker), ($events), count(*) FILTER (WHERE application_name = 'batch'), ($balanced), sum(connects) >= 1, bool_and(stats_reset > pg_conf_load_time()) FROM pool_monitor.pool_stats"
	);
	($self->{pid}, $out) = $out =~ /^(\d+)\|(.*)/ or die "the server does not work: $err\n";
	return $out;
}

# That file is not used, and for this reason.
sub refuses
{
	my ($self, $data, $reason, $what) = @_;
	my $file = $self->{file};
	$self->crash_with($data);
	my $text  = PoolMonitor::log_text($self->{node}, $self->{offset});
	my @why   = $text =~ /$not_used "pg_stat\/pool_monitor.stat": (.*)/g;
	my $aside = contents("$file.bad");
	is(
		join('; ',
			@why,
			$text =~ /PANIC|TRAP/             ? 'PANIC'          : '',
			defined $aside && $aside eq $data ? 'set aside'      : '',
			-e "$file.tmp"                    ? 'temporary file' : '',
			$self->after_crash),
		"$reason; ; set aside; ; started, statistics_lost: $reason|0|t|t|t",
		$what
	);
	return;
}

# That file is used.
sub accepts
{
	my ($self, $data, $what) = @_;
	my $file = $self->{file};
	$self->crash_with($data);
	is(log_count($self->{node}, $not_used, $self->{offset}), 0, "$what: no complaint");
	ok(!-e "$file.bad", "$what: not set aside");
	is(
		$self->after_crash,
		"started, statistics_lost: $disorder|1|t|t|f",
		"$what: what it has is there"
	);
	ok(!-e "$file.tmp", "$what: no temporary file is left");
	return;
}

1;
