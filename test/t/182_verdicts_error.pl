# What a session knows of the roles that are protected is whole again after an error on the
# way: the memory for one verdict more is not there. Needs sessions of more roles than the
# table has room for at first, and a library of the tests that takes the memory away.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor qw(:DEFAULT create_forge insert_pool query);
use PostgreSQL::Test::Utils;
use Test::More;

my $roles = 150;
my $node  = new_server('verdicts_error', "max_connections = 200\n");
create_forge($node);
query($node,
	"SELECT format('CREATE ROLE role_%s LOGIN', i) FROM generate_series(1, $roles) AS i \\gexec");
declare($node,
		insert_pool('many', pool_size => $roles, pool_recycle => "'1 s'", recycle_grace => "'0'")
	  . insert_pool('none', pool_size => 1));

my $in      = '';
my $holders = IPC::Run::start(
	[PoolMonitor::python(), '-c', <<"EOS", $node->connstr('postgres')], '<', \$in, '>', \my $said);
import sys, psycopg2
held = [psycopg2.connect(sys.argv[1], user=f"role_{i}", application_name="many") for i in range(1, $roles + 1)]
print("held", flush=True)
sys.stdin.read()
EOS
$holders->pump until $said =~ /held/;
my $candidates = "SELECT count(*) FROM pool_monitor.recycle('many') WHERE action = 'would_retire'";
wait_for($node, $candidates, 'the sessions of all roles may be retired', $roles);

# Before any verdict the table is there; a second error says that it began anew.
my $look = $candidates =~ s/count/'candidates: ' || count/r;
my ($rc, $out, $err) = $node->psql('postgres', <<"EOS", on_error_stop => 0);
SELECT count(*) FROM pool_monitor.recycle('none');
SELECT forge_no_memory('pool_monitor verdicts', 5000);
$look;
$look;
SELECT forge_no_memory('pool_monitor verdicts', 0);
$look;
EOS
my $errors = () = $err =~ /there is no memory: forged/g;
is($out,    "0\nt\nt\ncandidates: $roles", 'none without memory, all of them with it');
is($errors, 2,                             'each look without it is an error');
is($rc,     0,                             'the session is there to its end');

$holders->finish;
done_testing();
