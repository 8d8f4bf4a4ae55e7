# chart(), and the scale that it shares with the page: marks where clocks of the session's time
# zone have round times, also on the days on which they are set; gaps that are gaps; peaks that
# stay. Needs a past, which a library of the tests replays, and clients of other encodings.
use strict;
use warnings FATAL => 'all';
use Encode      qw(decode);
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReport;
use Test::More;

my $node = new_server('chart',
	"max_connections = 200\npool_monitor.history_minutes = 1500\ntimezone = 'UTC'\n");
create_replay($node);
lay_past($node, 4, 1440, 72);

sub chart
{
	my ($arguments, $encoding) = @_;
	local $ENV{PGCLIENTENCODING} = $encoding // 'UTF8';
	return split /\n/,
	  decode('UTF-8', query($node, "SELECT * FROM pool_monitor.chart($arguments)"));
}

subtest 'a plot' => sub {
	foreach my $width (80, 100, 200)
	{
		my @lines = chart("'web', '1 day', $width");
		is(scalar @lines, 17, "$width columns: the lines");
		is(join(' ', grep { length $lines[$_] != $width } 1 .. 12),
			'', 'the plot is as wide as was asked');
		cmp_ok(length $lines[$_], '<=', $width, "line $_ is not wider") foreach 0, 13 .. 16;
	}
	my @lines = chart("'web', '1 day'");
	like($lines[0],  qr/^web, \S+ \S+ to \S+ \S+; most \d+ at \d\d:\d\d$/, 'what it is of');
	like($lines[15], qr/ceiling, budget 21 .* base 9/,                     'limits are named');
	ok((grep { /\x{2500}{3}/ } @lines[1 .. 12]), 'and drawn');
	like($lines[13], qr/O/, 'the band has the worst status of a column');
	is(scalar(grep { /\x{250a}/ } @lines[1 .. 12]),
		12, 'where nobody was watching, there is nothing from bottom to top');
	my ($peak) = $lines[0] =~ /most (\d+)/;
	my ($top)  = $lines[1] =~ /^ *(\d+)/;
	cmp_ok($top, '>=', $peak, 'the peak is below the top of the scale');
};

subtest 'scale and marks are those of the page' => sub {
	my @lines     = chart("'web', '1 day', 100");
	my $page      = query($node, 'SELECT pool_monitor.report()');
	my ($picture) = $page =~ /<h3><bdi>web<\/bdi>.*?(<svg class="plot".*?)<\/svg>\n/s;
	my @times     = $picture =~ /class="x(?: n)?" x="[\d.]+%" y="\d+">([^<]*)</g;
	my %known     = map { $_ => 1 } @times;
	my @mine      = $lines[14] =~ /(\d\d:\d\d|\d+ [A-Z][a-z]+)/g;
	cmp_ok(scalar @mine, '>=', 7, 'marks of time');
	is(join(' ', grep { !$known{$_} } @mine[1 .. $#mine - 1]), '', 'the same');
	is(
		join(' ', reverse map { /^ *(\d+) / } @lines[1 .. 12]),
		join(' ', grep { $_ ne '0' } $picture =~ /class="y"[^>]*>([^<]*)</g),
		'numbers at the left'
	);
};

subtest 'in ASCII' => sub {
	my @lines = chart("'web', '1 day', 100, true");
	unlike(join("\n", @lines), qr/[^\x20-\x7e\n]/, 'when it is asked for');
	is_deeply([chart("'web', '1 day', 100", 'LATIN1')],
		\@lines, 'and where the client could not show more');
};

subtest 'who has none, and what cannot be' => sub {
	like((chart("'nobody'"))[0], qr/^nobody: no pool has this name/, 'no such pool');
	is(scalar chart("NULL"), 0, 'NULL');
	like((chart("'(server)', '1 day'"))[0],     qr/^\(server\)/,     'the server');
	like((chart("'(undeclared)', '1 day'"))[0], qr/^\(undeclared\)/, 'what is in no pool');
	foreach my $width (39, 401)
	{
		my (undef, undef, $err) =
		  $node->psql('postgres', "SELECT * FROM pool_monitor.chart('web', '1 day', $width)");
		like($err, qr/width must be between 40 and 400/, "$width columns");
	}
};

subtest 'a pool that was not declared before' => sub {
	declare($node, insert_pool('young'));
	wait_for(
		$node,
		q{SELECT count(*) > 0 FROM pool_monitor.history('young') WHERE seen > 0},
		'it has a history'
	);
	is(
		query(
			$node,
			q{SELECT string_agg(DISTINCT s, ',' ORDER BY s) FROM pool_monitor.curves('young', now() - interval '1 day', now()) AS c, json_array_elements_text(c.curve -> 'status') AS s}
		),
		',ok,undeclared',
		'then it was watched, before it was not declared, and once nobody was watching'
	);
	my @lines = chart("'young', '1 day'");
	like(
		$lines[12],
		qr/^ {6}[ \x{2500}\x{2508}]+\x{250a}+[ \x{2500}\x{2508}]+\S?$/,
		'its plot tells the one from the other'
	);
	my ($section) =
	  query($node, 'SELECT pool_monitor.report()') =~ /(<h3><bdi>young<.*?<\/section>)/s;
	ok($section =~ /class="absent"[^>]*><title>it was not declared: /, 'so does its picture');
	ok($section =~ /class="gap"[^>]*><title>nobody was watching: /,    'which has the gap, too');
	ok($section =~ /Hatched: nobody was watching\. Dots: it was not declared\./,
		'and says what is what');
	query($node, q{DELETE FROM pool_monitor.pools WHERE name = 'young'});
};

# The labels below a picture, of a document of so many steps.
sub labels
{
	my ($zone, $first, $step, $n) = @_;
	my $document =
	  qq[{"pools": [{"pool": "p", "declared": {"base": 1}, "curve": {"step": $step, "first": "$first", "connections": [@{[join ',', (1) x $n]}], "most_connections": [@{[join ',', (1) x $n]}], "status": [@{[join ',', ('"ok"') x $n]}]}}]}];
	my $page      = page_of($node, $document, "SET timezone = '$zone';");
	my ($picture) = $page =~ /(<svg class="plot".*?)<\/svg>\n/s;
	return join ' ', $picture =~ /class="x(?: n)?" x="[\d.]+%" y="\d+">([^<]*)</g;
}

subtest 'marks of time are where the clocks have them' => sub {
	is(
		labels('UTC', '2026-06-01 23:10 UTC', 300, 288),
		'2 Jun 03:00 06:00 09:00 12:00 15:00 18:00 21:00',
		'a day'
	);
	is(
		labels('Asia/Kolkata', '2026-06-01 00:00 UTC', 300, 288),
		'09:00 12:00 15:00 18:00 21:00 2 Jun 03:00',
		'half an hour beside UTC; at the edge is no room for a label'
	);
	is(
		labels('Europe/Berlin', '2026-03-28 23:00 UTC', 300, 276),
		'03:00 06:00 09:00 12:00 15:00 18:00 21:00',
		'the day on which an hour is left out'
	);
	is(
		labels('Europe/Berlin', '2026-10-24 22:00 UTC', 300, 300),
		'03:00 06:00 09:00 12:00 15:00 18:00 21:00',
		'and that which has one twice'
	);
	is(labels('UTC', '2026-06-01 10:00 UTC', 60, 60), '10:10 10:20 10:30 10:40 10:50', 'an hour');
	is(
		labels('UTC', '2026-06-01 10:00 UTC', 7200, 360),
		'8 Jun 15 Jun 22 Jun 29 Jun',
		'a month, by its Mondays'
	);
	like(
		labels('UTC', '2025-06-01 00:00 UTC', 86400, 365),
		qr/^\d+ [A-Z][a-z]+(?: \d+ [A-Z][a-z]+){2,4}$/,
		'a year, by its quarters'
	);
};

subtest 'a scale' => sub {

	# numbers at the left of a picture whose most is this
	my $left = sub {
		my ($most) = @_;
		my $page = page_of($node,
			qq[{"pools": [{"declared": {}, "curve": {"step": 60, "first": "2026-06-01", "connections": [1], "most_connections": [$most], "status": ["ok"]}}]}]
		);
		return join ' ', $page =~ /class="y"[^>]*>([^<]*)</g;
	};
	is($left->(0),     '0 1',                           'nothing');
	is($left->(1),     '0 1 2',                         'one');
	is($left->(4),     '0 2 4 6',                       'four');
	is($left->(42),    '0 20 40 60',                    'forty-two');
	is($left->(97),    '0 50 100 150',                  'ninety-seven');
	is($left->(30000), '0 10,000 20,000 30,000 40,000', 'many');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
$node->stop;
done_testing();
