# Whoever owns the database of the declarations can set anything in it. The process that
# loads them goes by its own settings all the same: each one that it overrides has the
# value that it wants, whatever the database says. No other process can ask it, so a
# module of the tests has it log them.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

# setting => what the owner says, what must hold
my %settings = (
	search_path                         => ['nowhere',      'pg_catalog, pg_temp'],
	role                                => ['owner',        'none'],
	default_transaction_isolation       => ['serializable', 'read committed'],
	default_transaction_read_only       => ['on',           'off'],
	default_transaction_deferrable      => ['on',           'off'],
	lock_timeout                        => ['1ms',          '10000'],
	statement_timeout                   => ['1ms',          '0'],
	idle_in_transaction_session_timeout => ['1ms',          '0'],
	transaction_timeout                 => ['1ms',          '0'],
	synchronous_commit                  => ['remote_apply', 'local'],
	exit_on_error                       => ['on',           'off'],
	debug_print_plan                    => ['on',           'off'],
	force_parallel_mode                 => ['on',           'off'],
	debug_parallel_query                => ['on',           'off'],
);

my $module = "$FindBin::RealBin/../modules/pool_monitor_settings/pool_monitor_settings";
my $names  = join ',', sort keys %settings;
my $node   = new_server('overrides', <<EOC);
shared_preload_libraries = 'pool_monitor,$module'
pool_monitor_settings.names = '$names'
EOC
query($node, 'CREATE ROLE owner LOGIN; ALTER DATABASE postgres OWNER TO owner');

# One that was there before, to which nothing that is set in the database comes.
my $session = $node->background_psql('postgres');

# What the log says of the process that has loaded, after a load now.
sub settings_of_a_load
{
	my $offset = -s $node->logfile;
	$session->query_safe('SELECT pool_monitor.reload()');
	wait_for_log($node, qr/settings of pool_monitor errands:/, 'it has loaded', $offset);
	my ($line) = slurp_file($node->logfile, $offset) =~ /settings of pool_monitor errands:(.*)/;
	return $line =~ / (\w+)="([^"]*)"/g;
}

subtest 'all that it overrides is asked for here' => sub {
	my $source = slurp_file("$FindBin::RealBin/../../src/worker/errand_process.c");
	my ($table) = $source =~ /^\}\s+overrides\[\] =\n(.*?)^\};/ms;
	is_deeply([sort $table =~ /\{"(\w+)", "/g], [sort keys %settings], 'each of them');
};

my %known = settings_of_a_load();
delete $known{force_parallel_mode} if $known{debug_parallel_query};    # its other name
subtest 'what the owner of the database sets does not reach it' => sub {
	query(
		$node, join ';',
		'SET ROLE owner',
		map { "ALTER DATABASE postgres SET $_ = '$settings{$_}[0]'" } sort keys %known
	);
	my %is = settings_of_a_load();
	cmp_ok(
		scalar keys %is,
		'>=',
		keys(%settings) - 2,
		'settings of another major apart, all are there'
	);
	is($is{$_}, $settings{$_}[1], $_) foreach sort keys %is;
};

subtest 'it has set them' => sub {
	my $seen = $session->query_safe(
		"SELECT string_agg(split_part(s, '=', 1), ',' ORDER BY s) FROM pg_db_role_setting, unnest(setconfig) AS s"
	);
	is(join(',', sort keys %known), $seen, 'all of them are set in the database');
};

$session->quit;
$node->psql('template1', 'ALTER DATABASE postgres RESET ALL');
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
