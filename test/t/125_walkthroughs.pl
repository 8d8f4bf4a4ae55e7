# What docs/monitoring.md has one do, done: the lines that change a file, or write one, are
# taken from there. Needs a server, Debian's prometheus-sql-exporter, and a shell.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PoolMonitorPrometheus;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $docs = slurp_file("$root/docs/monitoring.md");
my $node = new_server('walkthroughs');
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
declare($node, insert_pool('web', usename => "'app'", pool_size => 2, max_overflow => 1));
my $web = app_holder($node, 'web', 2);

# The first command of a chapter that begins so, on all its lines.
sub command
{
	my ($chapter, $begin) = @_;
	my ($text)    = $docs =~ /^## \Q$chapter\E\n(.*?)^## /ms or die "no chapter $chapter\n";
	my ($command) = $text =~ /^(\Q$begin\E(?:.*\\\n)*.*)$/m  or die "no $begin in $chapter\n";
	return $command;
}

# Runs it with these variables; must succeed and say nothing.
sub runs
{
	my ($command, %variables) = @_;
	local @ENV{keys %variables} = values %variables;
	my ($out, $err) = run_command(['sh', '-ec', $command]);
	is($out . $err, '', (split /\n/, $command)[0]);
	return;
}

subtest 'the line of cron' => sub {
	my $folder = PostgreSQL::Test::Utils::tempdir();
	runs(
		command('node_exporter', '* * * * * ') =~ s/^(\* )+//r,
		DIR    => $folder,
		PGHOST => $node->host,
		PGPORT => $node->port,
		PGUSER => 'monitor'
	);
	like(
		slurp_file("$folder/pool_monitor.prom"),
		qr/^pool_monitor_pool_connections\{pool="web"\} 2\n/m,
		'writes the file'
	);
	ok(!-e "$folder/pool_monitor.tmp", 'and leaves nothing else');
};

subtest "Debian's prometheus-sql-exporter" => sub {
	my $missing = program_missing('prometheus-sql-exporter');
	plan skip_all => "there is no $missing" if $missing;
	my $config = PostgreSQL::Test::Utils::tempdir() . '/sql-exporter.yml';
	my $host   = $node->host;
	runs(
		command("Debian's prometheus-sql-exporter", 'sed ') =~
		  s{/etc/prometheus-sql-exporter\.yml}{$config}r =~ s{/var/run/postgresql}{$host}r,
		M => "$root/monitoring"
	);
	my $exporter = serve_sql_exporter($config, PGPORT => $node->port);
	my ($seen) = command("Debian's prometheus-sql-exporter", 'curl ') =~ /grep '(.*)'$/;
	my $text;

	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$text = HTTP::Tiny->new->get("http://$exporter->{address}/metrics")->{content};
		last if $text =~ /^sql_pool_monitor_pool\{.*pool="web"/m;
		select undef, undef, undef, 0.1;
	}
	my @lines = grep { /pool="web"/ && index($_, 'col="connections"') >= 0 } split /\n/, $text;
	is(scalar @lines, 1, 'has the number');
	my ($out) = run_command(['sh', '-c', "printf '%s\\n' \"\$1\" | grep '$seen'", 'sh', $text]);
	like($out, qr/pool="web".* 2$/m, 'which the line of the document finds');
	end_program($exporter);
};

subtest "the collector's place for what it has told" => sub {
	my $file    = PostgreSQL::Test::Utils::tempdir() . '/otel.yaml';
	my $command = command('OpenTelemetry collector', 'sed -i ');
	append_to_file($file, slurp_file("$root/monitoring/opentelemetry.yml"));
	runs($command =~ s{/etc/otelcol-contrib/pool_monitor\.yaml}{$file}r);
	my ($out) = run_command(
		[
			python(),
			'-c',
			'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["receivers"]["sqlquery/pool_monitor"]["storage"])',
			$file
		]
	);
	is($out, 'file_storage', 'is in the receiver');
};

$web->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
