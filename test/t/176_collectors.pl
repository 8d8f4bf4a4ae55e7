# The files for collectors as somebody copies them: a statement in them does not run what the
# owner of a database puts before pg_catalog, no collector gets two metrics of one name, and
# no file is left that nobody makes. Needs the files, and a server that knows their columns.
use strict;
use warnings FATAL => 'all';
use JSON::PP    qw(decode_json);
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $node = new_server('collectors');
local $ENV{PYTHONDONTWRITEBYTECODE} = 1;

# What a script of test/monitoring prints, by lines.
sub script
{
	my ($name, @arguments) = @_;
	my ($out,  $err)       = run_command([python(), "$root/test/monitoring/$name", @arguments]);
	is($err, '', "$name says nothing else");
	return split /\n/, $out;
}

subtest 'names with their schema' => sub {
	my @told  = script('paths.py', "$root/monitoring", $node->connstr('postgres'));
	my $count = pop @told;
	is(join("\n", @told), '', 'nothing of another one is used');
	cmp_ok($count, '>=', 30, 'by any statement');
};

subtest 'names of metrics' => sub {
	my @told  = script('names.py', "$root/monitoring");
	my $count = pop @told;
	is(join("\n", @told), '', 'none is there twice');
	cmp_ok($count, '>=', 10, 'in any file');
};

subtest 'types' => sub {
	is(
		query(
			$node,
			q{SELECT string_agg(c.view || '.' || c.name || ' ' || format_type(a.atttypid, NULL), ' ') FROM pool_monitor.metrics_catalog AS c JOIN pg_attribute AS a ON a.attrelid = ('pool_monitor.' || c.view)::regclass AND a.attname = c.name WHERE c.kind IN ('gauge', 'counter', 'part') AND a.atttypid NOT IN ('int4'::regtype, 'int8'::regtype, 'float8'::regtype, 'int8[]'::regtype)}
		),
		'',
		'are those that each collector knows; numeric is not'
	);
};

# Made by hand, or by the generator from what the server says.
subtest 'files' => sub {
	my $folder = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$folder/catalog.json",
		query($node, slurp_file("$root/monitoring/catalog.sql")));
	mkdir "$folder/files" or die $!;
	local $ENV{PYTHONPATH} = "$root/monitoring";
	must_run(python(), '-m', 'generator', "$folder/catalog.json", "$folder/files");
	my $names = sub {
		my ($where) = @_;
		return map { substr $_, 1 + length $where } grep { -f } glob "$where/* $where/zabbix/*";
	};
	is(
		join("\n", sort $names->("$root/monitoring")),
		join("\n",
			sort $names->("$folder/files"),
			qw(alerts.yml alerts_test.yml catalog.sql generate)),
		'none is left of what was made once'
	);
};

subtest 'what Netdata shows first' => sub {
	my ($advice) =
	  slurp_file("$root/monitoring/netdata.conf") =~ /^ +- id: advice\n +query: (.*?)\n +limit:/ms;
	is(
		query(
			$node,
			"CREATE SCHEMA told; CREATE VIEW told.advice AS SELECT * FROM (VALUES ('info'), ('critical'), ('warning')) AS f(severity), (SELECT NULL::text AS pool, NULL::text AS topic, NULL::text AS finding) AS n; SELECT string_agg(severity, ' ' ORDER BY weight DESC) FROM ("
			  . $advice =~ s/pool_monitor\.advice/told.advice/r
			  . ') AS a'
		),
		'critical warning info',
		'is the gravest advice'
	);
};

subtest 'how much it is' => sub {
	my ($each, $numbers, $parts, $server, $ten) =
	  slurp_file("$root/docs/monitoring.md") =~
	  /^A pool is (\d+) series: (\d+) numbers and (\d+) of .*?server\s+has (\d+): ten pools are (\d+) series/ms;
	my $count = sub {
		my ($of) = @_;
		return () = query($node, 'SELECT pool_monitor.metrics()') =~ /^$of/gm;
	};
	is($each,    $count->('pool_monitor_pool_'), 'series of a pool, here of (undeclared)');
	is($parts,   $count->('pool_monitor_pool_\w+_seconds_(bucket|sum|count)\b'), 'histograms');
	is($numbers, $each - $parts,                                                 'all others');
	is($server,  $count->('pool_monitor_server_'),                               'of the server');
	is($ten,     11 * $each + $server, 'ten pools, as docs/monitoring.md says');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
