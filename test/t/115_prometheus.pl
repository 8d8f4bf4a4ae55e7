# The files for collectors with Debian's own programs: a real Prometheus has, of every
# series, the value that the view had. Needs these programs, a full server and a standby.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder logs_in);
use PoolMonitorPrometheus;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = program_missing(
	'prometheus',                   'promtool',
	'prometheus-postgres-exporter', 'prometheus-sql-exporter',
	'prometheus-node-exporter'
);
plan skip_all => "there is no $missing" if $missing;

my $node = new_server(
	'prometheus',
	"max_connections = 20\nsuperuser_reserved_connections = 3\n",
	init => {allows_streaming => 1}
);
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
if ($node->pg_version >= 16)
{
	$node->append_conf('postgresql.conf', 'reserved_connections = 2');
	$node->restart;
	query($node, 'GRANT pg_use_reserved_connections TO watcher');
}
declare($node,
		insert_pool('web', usename => "'app'", pool_size => 2, max_overflow => 1)
	  . insert_pool('odd {a=1}, %', application_name => "'odd'", pool_size => 1, max_overflow => -1)
);
my $web = app_holder($node, 'web', 4);
$web->do('sql 0 SELECT pg_sleep(0.2)');
$web->do('sql 1 BEGIN');

# what is of the exporters and of this test itself, and changes while it is looked at
my $looking = qr/^pool_monitor_pool_(active|idle|busy|longest_idle_seconds)\{pool="\(undeclared\)"/;

# The line of docs/monitoring.md for cron.
my $folder = PostgreSQL::Test::Utils::tempdir();

sub write_textfile
{
	my $text = query($node, 'SET ROLE watcher; SELECT pool_monitor.metrics(applications => true)');
	unlink "$folder/pool_monitor.tmp";
	append_to_file("$folder/pool_monitor.tmp", "$text\n");
	rename "$folder/pool_monitor.tmp", "$folder/pool_monitor.prom" or die $!;
	return;
}
write_textfile();

my $exporter   = start_postgres_exporter($node, 'watcher');
my @programs   = ($exporter, start_sql_exporter($node, 'watcher'), start_node_exporter($folder));
my $prometheus = start_prometheus(\@programs);

subtest 'postgres_exporter' => sub {
	is(wait_for_series($prometheus, 'postgres_exporter', $node, skip => $looking),
		'', 'every series has the value of the view');
	is(
		promql($prometheus, 'pool_monitor_pool_connections{job="postgres_exporter",pool="web"}')
		  ->[0]{value},
		4,
		'one of them, seen alone'
	);
	is(scalar @{promql($prometheus, 'pg_exporter_user_queries_load_error == 1')},
		0, 'the exporter has read the file');
	is(
		promql($prometheus,
			'histogram_quantile(1, pool_monitor_pool_hold_seconds_bucket{job="postgres_exporter",pool="web"})'
		)->[0]{value},
		0.5,
		'a histogram is one'
	);
};

subtest 'node_exporter' => sub {
	is(
		wait_for_series(
			$prometheus, 'node_exporter', $node,
			skip    => $looking,
			refresh => \&write_textfile,
			views   => ['metrics_pool', 'metrics_server', 'metrics_application']
		),
		'',
		'every series has the value of the view'
	);
	is(promql($prometheus, 'node_textfile_scrape_error')->[0]{value}, 0, 'the file can be read');
};

# Of sql_exporter, by the names that the others have; histograms it does not have.
sub sql_series
{
	my ($prom, $job) = @_;
	my %series;
	foreach my $s (@{promql($prom, "{job=\"$job\",__name__=~\"sql_pool_monitor_.+\"}")})
	{
		my ($name) = $s->{metric}{__name__} =~ /^sql_(.+)/;
		my $pool = $s->{metric}{pool};
		$series{"${name}_$s->{metric}{col}" . (defined $pool ? "{pool=\"$pool\"}" : '{}')} =
		  $s->{value};
	}
	return \%series;
}

subtest 'prometheus-sql-exporter' => sub {
	is(
		wait_for_series(
			$prometheus, 'sql_exporter', $node,
			skip   => qr/$looking|_bucket/,
			delay  => 2,
			series => \&sql_series
		),
		'',
		'every series has the value of the view'
	);
};

subtest 'what promtool says of the text' => sub {
	my ($out, $err);
	IPC::Run::run(['promtool', 'check', 'metrics'],
		'<', "$folder/pool_monitor.prom", '>', \$out, '2>', \$err);
	is($out . $err, '', 'nothing');
};

# All slots that ordinary roles can have are taken.
subtest 'the server is full' => sub {

	# one after the other, as those who ask may be there for a moment longer
	my @fillers;
	push @fillers, eval { app_holder($node, 'filler', 1) } // () while logs_in($node, 'user=app');
	ok(!logs_in($node, 'user=app'), 'no other role gets in');
	is(
		wait_for_series(
			$prometheus, 'postgres_exporter', $node, skip => qr{$looking|available_connections}
		),
		'',
		'who was there before goes on'
	);
	cmp_ok(
		promql($prometheus, 'pool_monitor_server_refused_total{job="postgres_exporter"}')
		  ->[0]{value},
		'>', 0, 'and tells of it'
	);

	if ($node->pg_version >= 16)
	{
		my $late = start_postgres_exporter($node, 'watcher', 'late_exporter');
		my $text = HTTP::Tiny->new->get("http://$late->{address}/metrics")->{content};
		like(
			$text,
			qr/^pool_monitor_server_connections\b/m,
			'and who comes late has a reserved slot'
		);
		end_program($late);
	}
	$_->close foreach @fillers;
};

subtest 'a standby' => sub {
	$node->backup('backup');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	wait_for(
		$standby,
		q{SELECT count(*) FROM pool_monitor.metrics_pool WHERE pool = 'web'},
		'has the declarations', 1
	);
	my $there  = app_holder($standby, 'web', 2);
	my $second = start_postgres_exporter($standby, 'watcher', 'standby_exporter');
	my $other  = start_prometheus([$second], name => 'prometheus_standby');
	is(wait_for_series($other, 'standby_exporter', $standby, skip => $looking),
		'', 'every series has the value of the view there');
	is(promql($other, 'pool_monitor_pool_connections{pool="web"}')->[0]{value},
		2, 'which are its own sessions');
	$there->close;
	end_program($_) foreach $other, $second;
	$standby->stop;
};

$web->close;
$node->stop;
done_testing();
