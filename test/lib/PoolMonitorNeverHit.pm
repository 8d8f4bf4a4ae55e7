# A pool that takes every session of a server, and clients by which it is seen that
# clean-ups have come by everybody.
package PoolMonitorNeverHit;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT client);

our @EXPORT = qw(client declare_all recycle_mode let_cycles_pass $gate);

sub declare_all
{
	my ($server) = @_;
	declare($server, <<'EOS');
INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
VALUES ('all', '%', 10000, 0, '1 s', '0', 'off')
EOS
	return;
}

sub recycle_mode
{
	my ($server, $mode) = @_;
	declare($server, "UPDATE pool_monitor.pools SET recycle_mode = '$mode'");
	return;
}

# Both, on schedule and by hand, have retired a session that has begun only now:
# they came by everybody else who was there before.
sub let_cycles_pass
{
	my ($server) = @_;
	my $now = $server->safe_psql('postgres', 'SELECT clock_timestamp()');
	wait_for(
		$server,
		<<"EOS", 'the canaries are retired, on schedule and by hand', 'recycle() schedule');
SELECT string_agg(DISTINCT detail->>'by', ' ' ORDER BY detail->>'by') FROM pool_monitor.events
WHERE event = 'retired' AND detail->>'application_name' = 'canary' AND (detail->>'backend_start')::timestamptz > '$now'
EOS
	return;
}

# A function that returns when the table gate is empty. Looking into it starts no
# parallel workers.
our $gate = <<'EOS';
CREATE TABLE gate WITH (parallel_workers = 0) AS SELECT true AS shut;
CREATE FUNCTION pass_gate(int) RETURNS bool LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
	WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.02); END LOOP;
	RETURN true;
END $$;
GRANT SELECT ON gate TO PUBLIC;
EOS

1;
