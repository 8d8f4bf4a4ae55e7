# The guard under a storm: 500 clients log in at once, wave after wave for RACE_SECONDS (20),
# against a pool of 42, while another pool comes and goes within the 20 places that are
# reserved for it, sessions change their names, and declarations change. Never more than 42,
# and 42 each time; the other pool has no error; every refusal is counted. Needs clients that
# all ask before one is answered.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query holder insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{RACE_SECONDS} || 20;
my $logins  = 500;
my $node    = new_server('guard_race', <<EOC);
max_connections = 620
log_min_messages = panic
EOC
my $clients = "$FindBin::RealBin/../clients";
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE hub LOGIN');
declare(
	$node,
	insert_pool(
		'storm',
		usename      => "'app'",
		workers      => 3,
		pool_size    => 6,
		max_overflow => 8,
		guard        => "'enforce'"
	  )
	  . insert_pool(
		'steady',
		usename      => "'hub'",
		pool_size    => 20,
		max_overflow => 0,
		guard        => "'enforce'",
		reserved     => 20
	  )
);
wait_for(
	$node,
	'SELECT bool_and(armed) FROM pool_monitor.guards WHERE pool IS NOT NULL',
	'both guards are in force'
);

# What runs beside the storm, until its input ends.
sub start
{
	my (@command) = @_;
	my ($in, $out) = ('', '');
	my $run = IPC::Run::start([python(), @command],
		'<', \$in, '>', \$out, '2>', \my $err,
		IPC::Run::timer(10 * $PostgreSQL::Test::Utils::timeout_default));
	return {run => $run, in => \$in, out => \$out, err => \$err};
}

my $steady = start("$clients/steady.py", $node->host, $node->port, 'hub', 'steady', 20);
$steady->{run}->pump until ${$steady->{out}} =~ /ready/;
my $flapper = start("$clients/flapper.py", $node->host, $node->port, 'wanderer', $seconds);
my $changer = start('-c', <<'EOP', $node->connstr('postgres'), $seconds);
import sys, time
import psycopg2
conn = psycopg2.connect(sys.argv[1])
conn.autocommit = True
cur = conn.cursor()
end = time.monotonic() + float(sys.argv[2])
changes = 0
while time.monotonic() < end:
    cur.execute("INSERT INTO pool_monitor.pools (name, application_name, priority) VALUES ('wanderer', 'wanderer%', 200)")
    cur.execute("SELECT pool_monitor.reload()")
    cur.execute("DELETE FROM pool_monitor.pools WHERE name = 'wanderer'")
    cur.execute("SELECT pool_monitor.reload()")
    changes += 2
print(changes)
EOP

my ($out, $err) = run_command(
	[python(), "$clients/storm.py", $node->host, $node->port, 'app', 'storm', $logins, $seconds]);
is($err, '', 'the storm has run');
my ($waves, $fewest, $most, $admitted, $refused, $others) = split ' ', $out;
note("$waves waves of $logins: admitted $admitted, refused $refused, something else $others");
is($most,   42, 'never more than 42 are admitted of one wave');
is($fewest, 42, 'and each time 42');
is($others, 0,  'all others are refused by 53300');
is(query($node, "SELECT places_peak, guarded FROM pool_monitor.guards WHERE pool = 'storm'"),
	"42|$refused", 'as the places themselves have it, and every refusal is counted');

foreach my $beside ($flapper, $changer)
{
	$beside->{run}->finish;
	cmp_ok(${$beside->{out}}, '>', 0, 'changes beside it: ' . ${$beside->{out}} =~ s/\s//gr);
}
${$steady->{in}} = "\n";
$steady->{run}->finish;
my ($opened, $errors, $last) = ${$steady->{out}} =~ /^(\d+) (\d+) (.*)$/m;
cmp_ok($opened, '>', 20, "the other pool has opened $opened sessions");
is("$errors $last", '0 none', 'without an error');
is(
	query(
		$node, "SELECT places_peak <= 20, guarded FROM pool_monitor.guards WHERE pool = 'steady'"
	),
	't|0',
	'it was within its reserve'
);
wait_for(
	$node,
	"SELECT sum(places) FROM pool_monitor.guards WHERE pool IS NOT NULL",
	'in the end all places are free', 0
);
is(query($node, "SELECT count(*) FROM pool_monitor.events WHERE event ~ '^guard_'"),
	0, 'and the count was right all along');

$node->stop;
done_testing();
