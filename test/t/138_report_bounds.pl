# report_page() is everybody's to call, with any document: what a small one makes the server do
# is bounded. And letters that UTF-8 does not have.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorReport;
use Test::More;

use constant MOST_MEMORY => 300_000;    # kB

my $node = new_server('report_bounds', "timezone = 'UTC'\n");

# So many pools, each with a curve, and as many that are no longer declared; so many events of
# pools that have the same name, none beside the one before.
sub document_of
{
	my ($pools, $events) = @_;
	return qq[(SELECT jsonb_build_object(
	'server', jsonb_build_object('usable', 100, 'curve', p.all -> 0 -> 'curve'),
	'pools', p.all, 'former', p.all, 'checklist', p.all, 'advice', p.all, 'holders', p.all,
	'events', jsonb_build_object('last', e.all, 'starved', jsonb_build_array(jsonb_build_object('holders', p.all))))
FROM (SELECT jsonb_agg('{"pool": "p", "declared": {"base": 1}, "curve": {"step": 60, "first": "2026-01-01 00:00+00", "connections": [1], "most_connections": [1], "status": ["ok"]}}'::jsonb)
	FROM generate_series(1, $pools)) AS p("all"),
	(SELECT jsonb_agg('{"event": "refused", "pool": "p", "at": "2026-01-01 00:00:30+00"}'::jsonb)
	FROM generate_series(1, $events)) AS e("all"))];
}

# The page, and the most memory (kB) that the backend had which made it; the document another
# one has put together.
sub page_and_memory
{
	my ($document) = @_;
	query($node,
		"DROP TABLE IF EXISTS documents; CREATE TABLE documents AS SELECT $document AS document");
	my $both = query($node,
		"SELECT pool_monitor.report_page(document) FROM documents; SELECT pg_read_file('/proc/self/status', 0, 100000, true)"
	);
	my ($page, $rest) = $both =~ /^(<!DOCTYPE.*?<\/html>)(.*)$/s;
	return ($page // $both, $rest =~ /^VmHWM:\s+(\d+) kB/m ? $1 : undef);
}

# The smaller one first: it is enough to tell, and does not take all that the machine has.
my $is_bounded = 1;
foreach my $n (1100, 20_000)
{
	subtest "$n pools and $n events" => sub {
		plan skip_all => 'it took too much with fewer' unless $is_bounded;
		my ($page, $peak) = page_and_memory(document_of($n, $n));
		my $rest = $n - 1000;
		is(well_formed($page), '', 'a page');
		is(() = $page =~ /class="plot"/g,
			2001, 'a picture of the server, of 1,000 pools, of 1,000 former ones');
		is(() = $page =~ /And $rest more, which are not shown/g,
			4, 'which says that there are more');
		is(() = $page =~ /refused at /g, 2000, 'events are marked');
	  SKIP:
		{
			skip 'the memory of a process is not told here', 1 unless defined $peak;
			note("$peak kB");
			$is_bounded = cmp_ok($peak, '<', MOST_MEMORY, 'and took little memory');
		}
	};
}

subtest 'digits without end' => sub {
	my $pool =
	  q['{"pool": 1e131000, "declared": {"description": -1e131000, "budget": 1e131000}}'::jsonb];
	my ($page) = page_and_memory(
		"(SELECT jsonb_build_object('pools', jsonb_agg($pool)) FROM generate_series(1, 1000))");
	is(well_formed($page), '', 'a page');
	cmp_ok(length $page, '<', 10_000_000, 'which does not have them all');
};

subtest 'letters that UTF-8 does not have' => sub {
	foreach my $case (
		['WIN1252',       '81',   '\x81'],
		['WIN1251',       '98',   '\x98'],
		['MULE_INTERNAL', '8aa1', '\x8a\xa1']
	  )
	{
		my ($encoding, $bytes, $shown) = @$case;
		next if query($node, "SELECT pg_char_to_encoding('$encoding')") < 0;    # not in 19
		query($node,
			qq{CREATE DATABASE "db_$encoding" TEMPLATE template0 ENCODING $encoding LC_COLLATE 'C' LC_CTYPE 'C'}
		);
		query($node, 'CREATE EXTENSION pool_monitor', "db_$encoding");
		my $page = query(
			$node,
			qq[SELECT pool_monitor.report_page(convert_from(convert_to('{"advice": [{"finding": "A', '$encoding') || '\\x$bytes'::bytea || convert_to('B"}]}', '$encoding'), '$encoding')::jsonb)],
			"db_$encoding"
		);
		is($page =~ /<bdi>(A.*?B)<\/bdi>/ ? $1 : 'nothing',
			"A${shown}B", "$encoding: shown byte by byte");
		is(well_formed($page), '', 'in a page');
	}
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
$node->stop;
done_testing();
