# Logins that the guard refuses, and sessions that give way to them.
package PoolMonitorYield;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query insert_pool client app_holder holder holder_of);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT =
  qw(query holder holder_of app_holder yield_server guarded knocker knock is_refused gets_in
  is_idle retired gave_way worker_looks);

# No clean-up comes in between: it looks when declarations change, and takes nothing of the
# pools here.
sub yield_server
{
	my ($name, $conf) = @_;
	my $node = new_server($name,
		"pool_monitor.recycle_interval = 10min\nmax_connections = 60\n" . ($conf // ''));
	query($node, 'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN');
	return $node;
}

# A pool whose idle sessions give way, where nothing else is said; any of its limit of
# connections may be idle.
sub guarded
{
	my ($name, %columns) = @_;
	return insert_pool(
		$name,
		pool_recycle => 'NULL',
		recycle_mode => "'terminate'",
		idle_limit   => "'2 s'",
		pool_size    => 1,
		max_overflow => 9,
		guard        => "'enforce'",
		%columns
	);
}

# A client of the role "app" that tries to get in: test/clients/knock.py.
sub knocker
{
	my ($node, $name, $user) = @_;
	my $self = client(
		'knock.py',
		sprintf(
			'host=%s port=%s dbname=postgres user=%s', $node->host, $node->port, $user // 'app'
		),
		$name
	);

	# a storm may take a while
	bless $self, 'PoolMonitor::Holder';
	$self->answer;
	return $self;
}

sub knock { return $_[0]->do('knock') }

sub is_refused
{
	my ($client, $what, $how) = @_;
	like(knock($client), $how // qr/too many connections for pool/, $what);
	return;
}

# It goes on trying until it gets in; does something else in between.
sub gets_in
{
	my ($client, $what, $meanwhile) = @_;
	my $begin = Time::HiRes::time();
	my $answer;

	while (($answer = knock($client)) ne 'in'
		&& Time::HiRes::time() < $begin + $PostgreSQL::Test::Utils::timeout_default)
	{
		$meanwhile->() if $meanwhile;
		Time::HiRes::sleep(0.02);
	}
	is($answer, 'in', $what);
	note sprintf 'after %.3f s', Time::HiRes::time() - $begin;
	return;
}

# All sessions of the pool that the condition picks are idle beyond the limit.
sub is_idle
{
	my ($node, $pool, $where) = @_;
	wait_for(
		$node,
		"SELECT count(*) > 0 AND bool_and(idle_over_limit) FROM pool_monitor.sessions WHERE pool = '$pool' AND "
		  . ($where // 'true'),
		"$pool: idle beyond the limit"
	);
	return;
}

sub retired
{
	my ($node, $pool) = @_;
	return query($node, "SELECT retired FROM pool_monitor.pool_stats WHERE pool = '$pool'");
}

# The processes of the pool's sessions that gave way, in this order.
sub gave_way
{
	my ($node, $pool) = @_;
	return query($node,
		"SELECT string_agg(pid::text, ' ' ORDER BY seq) FROM pool_monitor.events WHERE event = 'retired' AND pool = '$pool' AND detail ->> 'rule' = 'gave way'"
	);
}

# The client's pool is at its limit, and has idle sessions: when it gets in, the worker has
# looked who gives way, for all pools whose turn it was. The second time it is every pool's
# turn that had been looked for before the first. The others' tries are repeated till then.
sub worker_looks
{
	my ($control, $tries) = @_;
	for my $round (1, 2)
	{
		$tries->();
		is_refused($control, 'the control is refused');
		gets_in($control, 'the worker has looked', $tries);
	}
	return;
}

1;
