# Every SQL example of the README and of the documents runs, in order, on one
# server, and what the README says of settings is what the server says. Only TAP can
# read the documents, and begin with a server that has no extension.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('readme', '', no_extension => 1);

# Runs all examples of a document, and says how many there are.
sub run_examples
{
	my ($path) = @_;
	my $text   = slurp_file("$FindBin::RealBin/../../$path");
	my $n      = 0;
	while ($text =~ /<!-- test: (\w+) -->\n```sql\n(.*?)```/gs)
	{
		my ($name, $sql) = ($1, $2);
		my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
		is($rc,  0,  "$path: example \"$name\" runs") or diag($err);
		is($err, '', "$path: example \"$name\" says nothing unexpected");
		$n++;
		$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	}
	cmp_ok($n, '>=', 5, "$path: examples were found");
	is(() = $text =~ /```sql/g, $n, "$path: and there is no other one");
	return;
}

my $readme = slurp_file("$FindBin::RealBin/../../README.md");
run_examples('README.md');
is(
	$node->safe_psql(
		'postgres', 'SELECT pool, base, ceiling FROM pool_monitor.budgets ORDER BY pool'
	),
	"billing|80|80\nems|18|42\nshop|5|15",
	'the declared pools are in force'
);
is(
	$node->safe_psql('postgres', "SELECT recycle_mode FROM pool_monitor.pools WHERE name = 'ems'"),
	'terminate',
	'the mode is set'
);

# the documents begin with a fresh declaration
foreach my $path ('docs/retirement.md', 'docs/sizing.md')
{
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$node->reload;
	declare($node, 'DELETE FROM pool_monitor.pools');
	run_examples($path);
}

# the table of settings
my %default  = $readme =~ /^\| `(\w+)` \| `([^`]*)`/gm;
my %unit     = (sample_interval => 'ms', recycle_interval => 'ms');
my $settings = $node->safe_psql('postgres',
	"SELECT substr(name, 14), current_setting(name) FROM pg_settings WHERE name LIKE 'pool_monitor.%' AND name NOT LIKE '%sample_interval' AND name NOT LIKE '%recycle_enabled'"
);
foreach my $line (split /\n/, $settings)
{
	my ($name, $value) = split /\|/, $line;
	next if $name eq 'protected_roles';
	is($default{$name}, $value, "default of $name");
}
is($default{sample_interval}, '1s', 'default of sample_interval');
my $documented = () = $readme =~
  /^\| `(?:database|sample_interval|recycle_\w+|protected_roles|headroom_percent|connection_budget|max_\w+|history_\w+|notify_events|save_interval)` \|/gm;
is(
	$documented,
	$node->safe_psql(
		'postgres', "SELECT count(*) FROM pg_settings WHERE name LIKE 'pool_monitor.%'"
	),
	'every setting is in the table'
);
done_testing();
