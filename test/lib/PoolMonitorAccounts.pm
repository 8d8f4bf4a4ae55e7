# The counters of pool_stats: what has changed in every row, and in which columns.
package PoolMonitorAccounts;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(accounts_server stats changes check never_changed);

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

my @counters;    # that there are
my %changed;     # that some test has seen change

# The columns of pool_stats that count, in their order: from the first counter to the
# peaks, which are none. Not transactions: how many there are, those of logins too, is
# not these tests' concern (017).
sub counters
{
	my ($node) = @_;
	return split /\n/, $node->safe_psql('postgres', <<'EOC');
SELECT attname FROM pg_attribute AS a
WHERE attrelid = 'pool_monitor.pool_stats'::regclass AND atttypid IN ('int8'::regtype, 'float8'::regtype)
	AND attname <> 'transactions'
	AND attnum < (SELECT attnum FROM pg_attribute WHERE attrelid = a.attrelid AND attname = 'peak_connections')
ORDER BY attnum
EOC
}

# The counters of all rows that are not 0, as { 'web' => { connects => 1 } }.
sub stats
{
	my ($node) = @_;
	@counters = counters($node) unless @counters;
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

# What has changed in every row but that of the test's own psql; seconds are left out,
# which nobody can foretell.
sub changes
{
	my ($before, $after) = @_;
	my %changes;
	foreach my $name (grep { $_ ne $ENV{PGAPPNAME} && $_ ne 'psql' } keys %$after)
	{
		foreach my $counter (grep { !/_seconds$/ } keys %{$after->{$name}})
		{
			my $n = $after->{$name}{$counter} - ($before->{$name}{$counter} // 0);
			$changes{$name}{$counter} = $n if $n;
			$changed{$counter}        = 1  if $n;
		}
	}
	return \%changes;
}

# The counters that no call of changes() has seen change.
sub never_changed
{
	my ($node) = @_;
	return grep { !$changed{$_} } counters($node);
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
