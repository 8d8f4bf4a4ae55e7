# Every SQL example of the README and of the documents runs, in order, each document
# with an extension of its own; and the settings to think of are all there are. Only
# TAP can read the documents, and begin with a server that has no extension.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $root   = "$FindBin::RealBin/../..";
my $node   = new_server('readme', "max_connections = 400\n", no_extension => 1);
my $marked = qr/<!-- test: (\w+) -->\n```sql\n(.*?)```/s;
my $readme = slurp_file("$root/README.md");

sub has_extension
{
	return query($node, "SELECT count(*) FROM pg_extension WHERE extname = 'pool_monitor'");
}

# What a document begins with: nothing, if it creates the extension itself; else the
# extension, with the README's declarations if it has none of its own.
sub begin
{
	my ($text) = @_;
	my %example = $readme =~ /$marked/g;

	query($node, 'ALTER SYSTEM RESET ALL');
	$node->reload;
	query($node, 'DROP EXTENSION pool_monitor') if has_extension();
	return                                      if $text =~ /```sql\nCREATE EXTENSION/;
	query($node, 'CREATE EXTENSION pool_monitor');
	declare($node, $text =~ /^INSERT INTO pool_monitor\.pools/m ? '' : $example{declare});
	return;
}

# Runs all examples of a document, and returns how many there are.
sub run_examples
{
	my ($text) = @_;
	my $n = 0;

	while ($text =~ /$marked/g)
	{
		my ($name, $sql) = ($1, $2);
		my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
		is($rc,  0,  "example \"$name\" runs") or diag($err);
		is($err, '', "example \"$name\" says nothing unexpected");
		query($node, 'SELECT pool_monitor.reload()') if has_extension();
		$n++;
	}
	is(() = $text =~ /```sql/g, $n, 'and there is no other one');
	return $n;
}

# That nothing is missing, of which declarations are warned of.
query($node, $_)
  foreach 'CREATE DATABASE billing',
  map { "CREATE ROLE $_" } qw(billing_app ems_app shop_app reports);

# What the examples of some documents come to.
my $sizes   = 'SELECT pool, base, ceiling FROM pool_monitor.budgets ORDER BY pool';
my $mode    = "SELECT recycle_mode FROM pool_monitor.pools WHERE name = 'ems'";
my $guard   = 'SELECT guard, reserved, connect_rate, connect_burst FROM pool_monitor.pools';
my %outcome = (
	'README.md'          => [$sizes, 'ems|18|42'],
	'docs/declare.md'    => [$sizes, "billing|80|80\nems|24|56\nshop-web|40|60"],
	'docs/guard.md'      => [$guard, 'enforce|15|10|20'],
	'docs/install.md'    => ['SELECT count(*) FROM pg_extension', '1'],
	'docs/retirement.md' => [$mode,                               'off'],
	'docs/sizing.md'     => [$sizes,                              "shop|5|15\nweb|20|60"]
);
my @with_examples;

foreach my $path ('README.md', map { s!.*/docs/!docs/!r } sort glob "$root/docs/*.md")
{
	subtest $path => sub {
		my $text = slurp_file("$root/$path");

		begin($text);
		push @with_examples, $path if run_examples($text) > 0;
		is(query($node, $outcome{$path}[0]), $outcome{$path}[1], 'what it comes to')
		  if $outcome{$path};
	};
}
is(
	join(' ', @with_examples),
	'README.md docs/clients.md docs/declare.md docs/guard.md docs/install.md docs/monitoring.md docs/on-call.md docs/report.md docs/retirement.md docs/sizing.md docs/troubleshooting.md docs/watch.md',
	'examples were found in each document that has some'
);

# Their defaults and ranges are in docs/reference.md.
subtest 'the settings to think of are all there are' => sub {
	my ($table) = slurp_file("$root/docs/install.md") =~ /^## Settings.*?((?:^\|.*\n)+)/ms;
	is(
		join(' ', sort($table =~ /^\| `(\w+)` \|/gm)),
		query(
			$node,
			q{SELECT string_agg(substr(name, 14), ' ' ORDER BY name COLLATE "C") FROM pg_settings WHERE name LIKE 'pool\_monitor.%'}
		),
		'every setting is in the table'
	);
};

done_testing();
