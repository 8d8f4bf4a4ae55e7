# Every SQL example of the README and of the documents runs, in order, each document
# with an extension of its own; and the settings to think of are all there are. Only
# TAP can read the documents, and begin with a server that has no extension.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $root   = "$FindBin::RealBin/../..";
my $node   = new_server('readme', "max_connections = 400\n", no_extension => 1);
my $marked = qr/<!-- test: (\w+) -->\n```sql\n(.*?)```/s;
my $readme = slurp_file("$root/README.md");

sub has_extension
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_extension WHERE extname = 'pool_monitor'");
}

# What a document begins with: nothing, if it creates the extension itself; else the
# extension, with the README's declarations if it has none of its own.
sub begin
{
	my ($text) = @_;
	my %example = $readme =~ /$marked/g;

	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$node->reload;
	$node->safe_psql('postgres', 'DROP EXTENSION pool_monitor') if has_extension();
	return if $text =~ /```sql\nCREATE EXTENSION/;
	$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor');
	declare($node, $text =~ /^INSERT INTO pool_monitor\.pools/m ? '' : $example{declare});
	return;
}

# Runs all examples of a document, and returns how many there are.
sub run_examples
{
	my ($path, $text) = @_;
	my $n = 0;

	while ($text =~ /$marked/g)
	{
		my ($name, $sql) = ($1, $2);
		my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
		is($rc,  0,  "$path: example \"$name\" runs") or diag($err);
		is($err, '', "$path: example \"$name\" says nothing unexpected");
		$node->safe_psql('postgres', 'SELECT pool_monitor.reload()') if has_extension();
		$n++;
	}
	is(() = $text =~ /```sql/g, $n, "$path: and there is no other one");
	return $n;
}

# That nothing is missing, of which declarations are warned of.
$node->safe_psql('postgres', $_)
  foreach 'CREATE DATABASE billing', map { "CREATE ROLE $_" } qw(billing_app ems_app reports);

# What the examples of some documents come to.
my $sizes   = 'SELECT pool, base, ceiling FROM pool_monitor.budgets ORDER BY pool';
my $mode    = "SELECT recycle_mode FROM pool_monitor.pools WHERE name = 'ems'";
my %outcome = (
	'README.md'          => [$sizes, 'ems|18|42'],
	'docs/declare.md'    => [$sizes, "billing|80|80\nems|24|56\nshop-web|40|60"],
	'docs/install.md'    => ['SELECT count(*) FROM pg_extension', '1'],
	'docs/retirement.md' => [$mode,                               'off'],
	'docs/sizing.md'     => [$sizes,                              "shop|5|15\nweb|20|60"]
);
my @with_examples;

foreach my $path ('README.md', map { s!.*/docs/!docs/!r } sort glob "$root/docs/*.md")
{
	my $text = slurp_file("$root/$path");

	begin($text);
	push @with_examples, $path if run_examples($path, $text) > 0;
	is(
		$node->safe_psql('postgres', $outcome{$path}[0]),
		$outcome{$path}[1],
		"$path: what it comes to"
	) if $outcome{$path};
}
is(
	join(' ', @with_examples),
	'README.md docs/clients.md docs/declare.md docs/install.md docs/on-call.md docs/retirement.md docs/sizing.md docs/watch.md',
	'examples were found in each document that has some'
);

# the settings to think of; defaults and ranges are in docs/reference.md
my ($table) = slurp_file("$root/docs/install.md") =~ /^## Settings.*?((?:^\|.*\n)+)/ms;
is(
	join(' ', sort($table =~ /^\| `(\w+)` \|/gm)),
	$node->safe_psql(
		'postgres',
		q{SELECT string_agg(substr(name, 14), ' ' ORDER BY name COLLATE "C") FROM pg_settings WHERE name LIKE 'pool\_monitor.%'}
	),
	'every setting is in the table'
);
done_testing();
