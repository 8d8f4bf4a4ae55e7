# A server with a pool that must stay in force, a tenant, and roles that may declare.
package PoolMonitorTrust;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query);

our @EXPORT = qw(query try trust_server);

# debug1 has a line for each load of the declarations.
sub trust_server
{
	my ($name, $conf) = @_;
	my $settings = <<'EOC' . ($conf // '');
log_min_messages = debug1
max_worker_processes = 8
max_parallel_workers = 8
pool_monitor.recycle_interval = 100ms
EOC

	# letters that are not ASCII are tried, in whatever locale this runs
	my $node = new_server($name, $settings);
	query($node, <<'EOS');
CREATE ROLE owner LOGIN; CREATE ROLE tenant LOGIN; CREATE ROLE declarer LOGIN; CREATE ROLE signaller LOGIN;
GRANT pg_signal_backend TO signaller;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON pool_monitor.pools TO declarer, signaller;
EOS
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('good', 'good%', '1 s', '0')"
	);
	return $node;
}

# The error of a statement, or what it returned.
sub try
{
	my ($node, $sql, $db)  = @_;
	my ($rc,   $out, $err) = $node->psql($db // 'postgres', $sql);
	return $rc == 0 ? $out : $err;
}

1;
