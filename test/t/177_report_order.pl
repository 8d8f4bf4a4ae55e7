# The head of the report's page: the gravest first, and of what has no room as many as there
# are; and a document that is older than a column. TAP, as documents are put together here.
use strict;
use warnings FATAL => 'all';
use JSON::PP qw(decode_json encode_json);
use PoolMonitor;
use PoolMonitorReport;
use Test::More;

my $node = new_server('report_order', "timezone = 'UTC'\n");

# Its sentences: each begins with its mark.
sub stands_out
{
	my ($document) = @_;
	my $page       = page_of($node, encode_json($document));
	my ($list)     = $page =~ m{<ul class="stands[^>]*>(.*?)</ul>};
	return map { s/<[^>]*>//gr } $list =~ m{<li>(.*?)</li>}g;
}

subtest 'what is bad stands before what is not' => sub {
	my @told = stands_out(decode_json(example()));
	is(join('', map { substr($_, 0, 1) eq '!' ? '!' : '.' } @told),
		'!!!..', 'refused, starved and over; then overcommitted, and advice');
	like($told[0], qr/^!57 logins were refused/,      'the first');
	like($told[3], qr/The server is overcommitted: /, 'the fourth');
};

subtest 'what there is no room for' => sub {
	my $document = decode_json(example());
	my ($web) = grep { $_->{pool} eq 'web' } @{$document->{pools}};
	$document->{pools} = [
		map {
			{ %$web, pool => "web$_" }
		} 1 .. 30
	];
	my @told = stands_out($document);
	is(scalar @told, 13,             'twelve sentences, and what is left');
	is($told[-1],    'And 21 more.', 'each pool is one, whatever it was in; and advice');
};

subtest 'of before there was a guard' => sub {
	my $page = page_of($node, example());
	unlike($page, qr/- by the guard/, 'nothing is said of it');
	my $document = decode_json(example());
	$_->{span}{guarded} = 3 foreach @{$document->{pools}};
	like(
		page_of($node, encode_json($document)),
		qr/ refused, 3 by the guard, /,
		'where it was counted it is'
	);
};

is(log_count($node, 'PANIC|TRAP|ERROR'), 0, 'nothing broke');
$node->stop;
done_testing();
