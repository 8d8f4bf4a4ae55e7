# How long a login can be kept by patterns: steps of the matcher, which a library of the
# tests counts, so that the bound holds on any machine. The patterns are the worst that
# there are for a matcher that tries a "%" again, and that this one has.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(query);
use PostgreSQL::Test::Cluster;
use Test::More;

# Without pool_monitor, whose functions would take the place of the library's.
my $node = PostgreSQL::Test::Cluster->new('steps');
$node->init(extra => ['--encoding', 'UTF8']);
$node->start;
my $library = "$FindBin::RealBin/../modules/pool_monitor_steps/pool_monitor_steps";
query($node,
	"CREATE FUNCTION match_steps(text, text, int) RETURNS bigint LANGUAGE c STRICT AS '$library'");

# Of a pattern of 255 bytes, a name of 63 (rules.c says why): rounds of its loop, of which
# none has more than 20 basic blocks.
my $most = 20 * (255 + 64 * 65 / 2);

sub steps
{
	my ($pattern, $name, $pools) = @_;
	return query($node, "SELECT match_steps('$pattern', '$name', $pools)");
}

my $name  = 'a' x 63;
my %worst = (
	'%a again and again'    => '%a' x 63 . 'b',
	'%a, to the end'        => substr('%a' x 128, 0, 253) . '%b',
	'%_ again and again'    => '%_' x 60 . 'b',
	'% alone'               => '%' x 254 . 'b',
	'half of the name'      => '%' x 222 . 'a' x 32 . 'b',
	'%_ and half of a name' => '%' x 222 . '_' x 32 . 'b',
	'escaped'               => '%' . '\\a' x 32 . 'b',
	'all of the name'       => '%' . 'a' x 62 . 'b'
);

foreach my $what (sort keys %worst)
{
	my $one = steps($worst{$what}, $name, 1);
	cmp_ok($one,                              '>',  0,     "$what matches nothing");
	cmp_ok($one,                              '<=', $most, "and that is seen within the bound");
	cmp_ok(steps($worst{$what}, $name, 1000), '<=', 1000 * $one, 'of 1,000 pools likewise');
}

# Each "%" that has found its text is done with, so twice as many are twice the steps.
foreach my $n (7, 15, 30)
{
	my ($one, $two) = map { steps('%a' x $_ . 'b', 'a' x $_, 1) } $n, 2 * $n;
	cmp_ok($two, '<=', 2 * $one + 20, "%a $n times, and twice as often");
}

$node->stop;
done_testing();
