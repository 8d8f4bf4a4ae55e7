# The retirement race: real clients at work, by the simple and the extended
# protocol, in pipelines and in transactions, with SSL and without, while sessions
# are asked to end as soon as they are idle: by hand, for RACE_SECONDS (20) and until
# that were 150 requests for each of them (3,000), then on schedule. No statement
# that was begun may be cut, no transaction lost; test/clients/race.py says what that
# means and how it is seen. The same clients (RACE_CLIENTS, 10) under
# pg_terminate_backend() show that it is seen. Needs clients of its own, which end their
# statements in every way there is.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{RACE_SECONDS} || 20;
my $clients = $ENV{RACE_CLIENTS} || 10;
my $room    = 3 * $clients + 150;

# The log says of each session that ended what it was doing (%i).
my $node = new_server('race', <<EOC);
pool_monitor.recycle_interval = 100ms
pool_monitor.recycle_margin = 0
max_connections = $room
listen_addresses = '127.0.0.1'
log_min_messages = warning
log_line_prefix = '%m [%p] %e <%i> '
EOC
$node->append_conf('pg_hba.conf', "host all all 127.0.0.0/8 trust\n");
make_certificate($node);
$node->restart;
query($node, 'CREATE ROLE app LOGIN');

# What race.py counted: {kind of client, or "all"}{column}, and the reasons of those
# that declined.
sub race
{
	my ($how, $for, $requests) = @_;
	my ($out, $err) = run_command(
		[
			python(),    "$FindBin::RealBin/../clients/race.py",
			$node->host, $node->port, $clients, $for, $requests, $how
		]
	);
	my (%result, %reasons);

	$err =~ s/^FATAL:  terminating connection .*\n?//mg;    # as libpq prints it
	note("$how:\n$out\n$err");
	while ($out =~ /^(?:race )?(\w[\w ,-]*): (.*)$/mg)
	{
		my ($what, $figures) = ($1, $2);
		if   ($figures =~ /^\d+$/) { $reasons{$what} = $figures; }
		else                       { $result{$what}  = {$figures =~ /(\w+)=(-?\d+)/g}; }
	}
	die "no result of race.py\n" unless $result{all};
	return (\%result, \%reasons);
}

# Nothing that was begun came to harm.
sub unharmed
{
	my ($n) = @_;
	is($n->{cut},         0, 'no statement begun and not finished');
	is($n->{lost},        0, 'no transaction lost that had begun');
	is($n->{missing},     0, 'nor one that the client was told is committed');
	is($n->{untold},      0, 'none committed, and the client told of an error');
	is($n->{broken},      0, 'no error in an explicit transaction');
	is($n->{commits_cut}, 0, 'no commit begun and not finished');
	is(
		$n->{transactions},
		$n->{committed} + $n->{rolled_back},
		'each that had begun ended as its client wanted, and it was told so'
	);
	is($n->{pinned_lost}, 0, 'no session ended that held a lock, or listened');
	is($n->{unexpected},  0, 'no other error than the end of a session');
	is($n->{terminated},  0, 'no session was terminated');
	is($n->{other_ends},  0, 'or ended by itself');
	cmp_ok($n->{turned_away}, '<=', $n->{retired},
		'no client met more ends than sessions were retired');
	return;
}

sub ended { return log_count($node, "57P01 <$_[0]> FATAL: ", $_[1]) }

# Sessions that ended with a statement that the server had read.
sub ended_in_statement { return log_count($node, '57P01 <[^>]*> STATEMENT: ', $_[0]) }

# The server log's view of the same.
sub log_is_clean
{
	my ($retired, $offset) = @_;
	is(ended('idle', $offset), $retired, 'the log has each that was retired, at rest');
	is(log_count($node, '> FATAL: ', $offset),
		$retired, 'no session ended that was not, nor was refused');
	is(ended_in_statement($offset), 0, 'none with a statement that the server had read');

	# that the pools are larger than any server is meant so
	is(
		log_count(
			$node, '> (WARNING|ERROR|PANIC):  (?!the budget of pool)|TRAP|terminated by signal',
			$offset
		),
		0,
		'nothing else went wrong'
	);
	return;
}

subtest 'by hand' => sub {
	my $wanted = 150 * $seconds;
	my $offset = -s $node->logfile;
	my ($result, $reasons) = race('hand', $seconds, $wanted);
	my $all = $result->{all};

	cmp_ok($all->{requests}, '>=', $wanted, "$wanted requests at least");
	is($all->{clients},                            $clients, 'as many clients as wanted');
	is(scalar(grep { $_ ne 'all' } keys %$result), $clients < 10 ? $clients : 10, 'of all kinds');
	foreach my $kind (sort keys %$result)
	{
		my $n = $result->{$kind};
		subtest $kind => sub {
			unharmed($n);
			cmp_ok($n->{$_}, '>', 0, "$_: some") foreach qw(retired declined committed);
			is($n->{encrypted}, $n->{connects}, 'all with SSL')  if $kind =~ /SSL/;
			is($n->{encrypted}, 0,              'none with SSL') if $kind =~ /plain/;
		};
	}
	foreach my $reason ('in a transaction', 'message from the client waiting', 'session-level lock')
	{
		cmp_ok($reasons->{$reason} // 0, '>', 0, "some declined: $reason");
	}
	log_is_clean($all->{retired}, $offset);
};

subtest 'on schedule' => sub {
	my $while    = $seconds > 20 ? $seconds / 4 : 5;
	my $offset   = -s $node->logfile;
	my ($result) = race('schedule', $while, 10 * $while);
	cmp_ok($result->{all}->{requests}, '>=', 10 * $while, 'ten requests a second at least');
	foreach my $kind (sort keys %$result)
	{
		subtest $kind => sub { unharmed($result->{$kind}) };
	}
	cmp_ok($result->{all}->{retired}, '>', 0, 'some were retired');
	log_is_clean($result->{all}->{retired}, $offset);
};

subtest 'that harm is seen: pg_terminate_backend() on idle sessions' => sub {

	# once is enough, unless the machine is slow
	my ($cut, $lost) = (0, 0);
	my $offset = -s $node->logfile;
	foreach (1 .. 10)
	{
		my ($result) = race('terminate', 8, 0);
		$cut  += $result->{all}->{cut};
		$lost += $result->{all}->{lost};
		last if $cut > 0 && $lost > 0;
	}
	cmp_ok($cut,                        '>', 0, 'statements are cut');
	cmp_ok($lost,                       '>', 0, 'and transactions lost');
	cmp_ok(ended_in_statement($offset), '>', 0, 'and the log says so');
};

is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'no PANIC');
$node->stop;
done_testing();
