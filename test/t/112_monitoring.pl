# The files for collectors: they are what the views say today, each statement in them runs
# as a role in pg_monitor and answers what the file takes from it, and those that no
# program here reads have the form that is known. Needs a server that says it.
use strict;
use warnings FATAL => 'all';
use JSON::PP    qw(decode_json);
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $node = new_server('monitoring');
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
my $catalog = slurp_file("$root/monitoring/catalog.sql");

# The files that are written from what the server would say after a change: name => text.
sub generated
{
	my ($change) = @_;
	my $folder   = PostgreSQL::Test::Utils::tempdir();
	my $answer   = query($node, "BEGIN; $change; $catalog; ROLLBACK;");
	append_to_file("$folder/catalog.json", $answer);
	mkdir "$folder/files" or die $!;
	local $ENV{PYTHONPATH}              = "$root/monitoring";
	local $ENV{PYTHONDONTWRITEBYTECODE} = 1;
	must_run(python(), '-m', 'generator', "$folder/catalog.json", "$folder/files");
	my %files;

	foreach my $path (glob "$folder/files/* $folder/files/*/*")
	{
		next if -d $path;
		$files{substr $path, length "$folder/files/"} = slurp_file($path);
	}
	return \%files;
}

# Those that are not as they stand here.
sub other_files
{
	my ($files) = @_;
	return join ' ', grep {
		my $path = "$root/monitoring/$_";
		!-e $path || slurp_file($path) ne $files->{$_}
	} sort keys %$files;
}

subtest 'what "make monitoring" writes' => sub {
	my $files = generated('SELECT WHERE false');
	is(other_files($files), '', 'is what stands here; if not, run it');
	my @made = grep { slurp_file("$root/monitoring/$_") =~ /Made by `make monitoring`/ }
	  map { substr $_, length "$root/monitoring/" }
	  glob "$root/monitoring/*.* $root/monitoring/zabbix/*.y*";
	is(join(' ', grep { !$files->{$_} } @made), '', 'and nothing else says that it does');

	my $changed   = generated("COMMENT ON COLUMN pool_monitor.metrics_pool.busy IS 'changed'");
	my $with_help = join ' ',
	  grep { !/prometheus-sql-exporter|netdata|datadog|pgwatch|\.sql$|applications\.col|grafana/ }
	  sort keys %$changed;
	is(other_files($changed), $with_help,
		'a comment that is changed is noticed in each that has it');
};

# What a script of test/monitoring prints, by lines.
sub script
{
	my ($name, @arguments) = @_;
	local $ENV{PYTHONDONTWRITEBYTECODE} = 1;
	my ($out, $err) = run_command([python(), "$root/test/monitoring/$name", @arguments]);
	is($err, '', "$name says nothing else");
	return split /\n/, $out;
}

subtest 'their statements' => sub {
	declare($node, insert_pool('web', usename => "'app'", pool_size => 2, max_overflow => 1));
	my $web = app_holder($node, 'web', 4);
	my @told =
	  script('statements.py', "$root/monitoring", $node->connstr('postgres') . ' user=watcher');
	my %count = %{decode_json(pop @told)};
	is(join("\n", @told), '', 'run as a role in pg_monitor, and answer what is taken from them');
	my %files = map { s{^zabbix/.*}{zabbix}r => 1 } keys %{generated('SELECT WHERE false')};
	delete @files{grep { /grafana/ } keys %files};
	is_deeply([sort keys %count], [sort keys %files], 'all of the files');
	$web->close;
};

subtest 'the form of those that are not run' => sub {
	my @told  = script('schemas.py', "$root/monitoring");
	my $count = pop @told;
	is(join("\n", @told), '', 'is as known');
	my @unrun = grep { slurp_file("$root/monitoring/$_") =~ /NOT\s+(# )?RUN/ }
	  keys %{generated('SELECT WHERE false')};
	cmp_ok($count, '>=', scalar @unrun, 'of all that say so');
};

done_testing();
