# Declarations that change let logins in until the worker's next look, where they concern a
# guard. Who may write them, but may not have logins refused, must not open guards by that.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorTrust;
use Test::More;

my $node  = trust_server('guard_open');
my $table = 'pool_monitor.pools';

create_forge($node);

# Has the change the guards opened, once it is in force?
sub opens
{
	my ($sql, $role) = @_;
	my $before = query($node, 'SELECT forge_guards_opened()');
	my $error  = try($node, "SET ROLE $role; $sql");
	my $after;

	unlike($error, qr/ERROR/, "$role may: $sql");
	query($node, 'SELECT pool_monitor.reload()');
	$after = query($node, 'SELECT forge_guards_opened()');
	wait_for($node, q{SELECT bool_and(armed) FROM pool_monitor.guards WHERE pool = 'web'},
		'in force');
	return $after != $before;
}

# The worker itself opens them for a look when it sees that these settings are others.
sub reloaded
{
	my $before = query($node, 'SELECT forge_guards_opened()');
	$node->reload;
	return wait_for($node, "SELECT forge_guards_opened() <> $before", 'the worker has seen it');
}

sub stays  { ok(!opens(@_, 'declarer'),  'which does not open the guards');       return }
sub opened { ok(opens(@_,  'signaller'), 'which opens them until the next look'); return }

declare($node,
	"INSERT INTO $table (name, application_name, usename, pool_size, guard) VALUES ('web', 'web', 'app', 2, 'enforce')"
);

subtest 'before a pool that enforces' => sub {
	query($node,
		"INSERT INTO $table (name, priority, application_name, usename, guard) VALUES ('hers', 0, 'hers', 'her', 'report'), ('mine', 0, 'mine', 'me', 'off')"
	);
	query($node, 'SELECT pool_monitor.reload()');
	stays("UPDATE $table SET pool_size = pool_size + 1, echo_pool = true WHERE name = 'mine'");
	stays("UPDATE $table SET pool_size = pool_size + 1, connect_rate = 3 WHERE name = 'hers'");
	stays("UPDATE $table SET guard = 'off' WHERE name = 'hers'");
	stays("UPDATE $table SET guard = 'report' WHERE name = 'mine'");
	opened("UPDATE $table SET usename = 'they' WHERE name = 'mine'");
};

subtest 'its own terms' => sub {
	opened("UPDATE $table SET $_ WHERE name = 'web'")
	  foreach 'pool_size = 3', 'budget = 20', 'reserved = 1', 'connect_rate = 100',
	  'connect_burst = 100', 'guard_superusers = true', "application_name = 'web%'";
	ok(!opens("UPDATE $table SET pool_timeout = '1 s' WHERE name = 'web'", 'signaller'),
		'what it does not go by does not open it');
};

subtest 'where what is undeclared is watched' => sub {
	query($node, q{ALTER SYSTEM SET pool_monitor.undeclared_guard = report});
	query($node, q{ALTER SYSTEM SET pool_monitor.undeclared_budget = 50});
	reloaded();
	stays("INSERT INTO $table (name, priority, application_name) VALUES ('last', 1000, 'last')");
	stays("UPDATE $table SET usename = 'me' WHERE name = 'last'");
	query($node, q{ALTER SYSTEM SET pool_monitor.undeclared_guard = enforce});
	reloaded();
	wait_for(
		$node,
		q{SELECT guard = 'enforce' AND armed FROM pool_monitor.guards WHERE pool IS NULL},
		'it is limited'
	);
	stays("UPDATE $table SET pool_size = pool_size + 1 WHERE name = 'last'");
	opened("UPDATE $table SET usename = 'they' WHERE name = 'last'");
};

$node->stop;
done_testing();
