# What a session sees that has looked before, and keeps what it read then, is what one
# sees that has never looked, whatever changes in between. Needs sessions of other roles,
# databases, hosts and names, and many that have just begun.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('looks', "listen_addresses = '127.0.0.1'\n");
my $seed = $ENV{LOOKS_SEED} // time;

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE app_1 LOGIN;
CREATE ROLE app_2 LOGIN;
CREATE ROLE plain LOGIN;
GRANT SET ON PARAMETER track_activities TO app_1, app_2;
CREATE DATABASE db_1;
EOS

my ($out, $err) = run_command(
	[
		PoolMonitor::python(),
		"$FindBin::RealBin/../clients/looker.py",
		sprintf('host=%s port=%s', $node->host, $node->port),
		$ENV{LOOKS} // 100, $seed
	]
);
note("LOOKS_SEED=$seed\n$out");
my %count = $out =~ /(\w+)=(\d+)/g;
is($err,          '',                 'the clients ran');
is($count{steps}, $ENV{LOOKS} // 100, 'who looks again sees what is there at each step');
cmp_ok($count{rows},      '>', 1000, 'rows were compared');
cmp_ok($count{flags},     '>', 20,   'some of them of sessions with flags');
cmp_ok($count{unsettled}, '<', 20,   'and mostly nothing changed meanwhile');

done_testing();
