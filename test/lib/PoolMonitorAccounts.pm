# The counters of pool_stats: what has changed in every row, and in which columns.
package PoolMonitorAccounts;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(accounts_server stats changes check);

# With 17 slots for ordinary roles, of which "app" is one. Two pools, one of them for the
# sessions of a role.
sub accounts_server
{
	my ($name, $conf) = @_;
	my $node = new_server($name, <<"EOC" . ($conf // ''));
max_connections = 20
superuser_reserved_connections = 3
max_wal_senders = 0
pool_monitor.recycle_interval = 1h
EOC
	$node->safe_psql('postgres', "CREATE ROLE app LOGIN; CREATE ROLE scram LOGIN PASSWORD 'right'");
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('web', 'web%', '1 s', '0'), ('by role', '%', '1 h', '0')"
	);
	$node->safe_psql('postgres',
		"UPDATE pool_monitor.pools SET usename = 'scram', priority = 1 WHERE name = 'by role'");
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	return $node;
}

my @counters =
  qw(connects disconnects taken_over given_over ended_client ended_abandoned ended_fatal
  ended_timeout ended_killed retired retired_late ended_lost declined rejected refused auth_failures);

# The counters of all rows that are not 0, as { 'web' => { connects => 1 } }.
sub stats
{
	my ($node) = @_;
	my %all;
	my $rows = $node->safe_psql('postgres',
			"SELECT coalesce(pool, application_name), "
		  . join(', ', @counters)
		  . ' FROM pool_monitor.pool_stats');
	foreach my $row (split /\n/, $rows)
	{
		my ($name, @values) = split /\|/, $row, -1;
		$all{$name} = {map { $counters[$_] => $values[$_] } grep { $values[$_] } 0 .. $#values};
	}
	return \%all;
}

# What has changed in every row but that of the test's own psql.
sub changes
{
	my ($before, $after) = @_;
	my %changes;
	foreach my $name (grep { $_ ne $ENV{PGAPPNAME} && $_ ne 'psql' } keys %$after)
	{
		foreach my $counter (keys %{$after->{$name}})
		{
			my $n = $after->{$name}{$counter} - ($before->{$name}{$counter} // 0);
			$changes{$name}{$counter} = $n if $n;
		}
	}
	return \%changes;
}

# Runs the code, waits until the sessions it names by application have gone, and
# compares what changed.
sub check
{
	my ($node, $what, $code, $expected) = @_;
	my $before = stats($node);
	$code->();
	my $after;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$after = stats($node);
		last if eq_hash(changes($before, $after), $expected);
		select(undef, undef, undef, 0.1);
	}
	is_deeply(changes($before, $after), $expected, $what);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE connects - disconnects <> connections
			OR disconnects <> ended_client + ended_abandoned + ended_fatal + ended_timeout + ended_killed + retired + ended_lost + given_over"
		),
		'0',
		"$what: it adds up"
	);
	return;
}

1;
