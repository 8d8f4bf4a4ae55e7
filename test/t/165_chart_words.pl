# What chart() says beside the plot: that a name is none of a pool, and what the band below the
# plot means, of a pool and of the server. Needs a past, which a library of the tests replays.
use strict;
use warnings FATAL => 'all';
use Encode      qw(decode);
use PoolMonitor qw(:DEFAULT query insert_pool);
use Test::More;

my $node = new_server('chart_words', "pool_monitor.history_minutes = 120\n");
create_replay($node);

sub chart
{
	my ($arguments) = @_;
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	return split /\n/,
	  decode('UTF-8', query($node, "SELECT * FROM pool_monitor.chart($arguments)"));
}

declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('web', 'web'), ('new', 'new')"
);
wait_for($node, q{SELECT count(*) > 0 FROM pool_monitor.history('web')}, 'there is a history');

subtest 'a name that is none' => sub {
	is_deeply(
		[chart("'wbe'")],
		['wbe: no pool has this name, and none that had it is in the history of this time'],
		'a slip of the pen'
	);
	foreach my $name ('web', '(server)', '(undeclared)')
	{
		my @lines = chart("'$name'");
		unlike($lines[0], qr/no pool has/, "$name is one");
	}
};

subtest 'the band' => sub {
	query($node, "SELECT replay_history('$_', 60, 5, 9, 3, 5, 0, 0, 0, 100, 0, 0)")
	  foreach 'web', '(server)', '(undeclared)';
	foreach my $ascii ('false', 'true')
	{
		my $ok    = $ascii eq 'true' ? quotemeta '.' : "\x{b7}";
		my @lines = chart("'web', '1 hour', 80, $ascii");
		like($lines[13], qr/$ok/, 'what was well');
		like($lines[-1], qr/^ +$ok ok  o overflow  E exhausted  O over  S starved/, 'has its sign');
		@lines = chart("'(server)', '1 hour', 80, $ascii");
		like(
			$lines[-1],
			qr/^ +$ok ok  E no slot free  O over the connection budget  S full/,
			'of the server'
		);
		like(join(' ', @lines[15 .. $#lines]),
			qr/ usable 37/, 'whose slots have the name that they have elsewhere');
		cmp_ok(length $_, '<=', 80, 'no line is wider than 80') foreach @lines;
	}
};

done_testing();
