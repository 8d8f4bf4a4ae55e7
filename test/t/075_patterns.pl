# What a pattern takes of another one's names, and which declaration is more specific: for
# all patterns up to a length, against all names. Needs a library of the tests (test/modules)
# that has the same code: declaring millions of pairs would take days.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(query);
use PostgreSQL::Test::Cluster;
use Test::More;

# Without pool_monitor, whose functions would take the place of the library's.
my $node = PostgreSQL::Test::Cluster->new('patterns');
$node->init(extra => ['--encoding', 'UTF8']);
$node->start;
my $library = "$FindBin::RealBin/../modules/pool_monitor_patterns/pool_monitor_patterns";

my $functions = <<"EOS";
CREATE FUNCTION patterns_disagree(text[], int, text[], int, may_say_no bool DEFAULT false) RETURNS text LANGUAGE c STRICT AS '$library';
CREATE FUNCTION order_disagrees(text[], int, text[], int, cidr[]) RETURNS text LANGUAGE c STRICT AS '$library';
EOS
query($node, $functions);

# Names are long enough to tell, and one of their letters is in no pattern: it stands for all
# the others. So "a%b" is not taken to have "ab" in it, as it would be of names of a and b.
subtest 'what a pattern says it covers, it does, and no less' => sub {
	foreach my $case (
		[q{'a', 'b', '_', '%'},           5, q{'a', 'b', 'c'},         8],
		[q{'\%', '\_', '\\\\', '_', '%'}, 4, q{'%', '_', '\\', 'x'},   6],
		[qq{'e', '\xc3\xa9', '_', '%'},   4, qq{'e', '\xc3\xa9', 'x'}, 7]
	  )
	{
		my ($tokens, $length, $letters, $name_length) = @$case;
		is(
			query(
				$node,
				"SELECT patterns_disagree(ARRAY[$tokens], $length, ARRAY[$letters], $name_length)"
			),
			'',
			"patterns of up to $length of $tokens"
		);
	}
};

subtest 'of bytes that are no UTF-8 it says nothing that is wrong' => sub {
	query($node, 'CREATE DATABASE bytes ENCODING SQL_ASCII TEMPLATE template0');
	query($node, $functions, 'bytes');
	is(
		query(
			$node,
			"SET client_encoding = SQL_ASCII; SELECT patterns_disagree(ARRAY[E'\\xc3', E'\\xa9', '_', '%'], 4, ARRAY[E'\\xc3', E'\\xa9', 'x'], 7, true)",
			'bytes'
		),
		'',
		'half a character, and the other half'
	);
};

subtest 'who takes a part of another\'s sessions comes before it, whatever their names' => sub {
	my $networks =
	  q{ARRAY['10.0.0.0/8', '10.1.0.0/16', '10.1.1.1/32', '0.0.0.0/0', '::/0', '::1/128']::cidr[]};
	foreach my $case (
		[q{'a', 'b', '_', '%'},  5, 0, q{ARRAY[]::cidr[]}, 1365],
		[q{'a', '\%', '_', '%'}, 2, 2, $networks,          21 * 21 * 7]
	  )
	{
		my ($tokens, $length, $other, $with, $pools) = @$case;
		like(
			query(
				$node,
				"SELECT order_disagrees(ARRAY[$tokens], $length, ARRAY[$tokens], $other, $with)"
			),
			qr/^[1-9]\d{4,} pairs of $pools$/,
			"of $pools declarations"
		);
	}
};

done_testing();
