# Debian's Prometheus, and the programs that it scrapes, beside a test's server: started on
# ports of their own at 127.0.0.1, ended with the test; and what a view says as series.
package PoolMonitorPrometheus;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP    qw(decode_json);
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT =
  qw(program_missing monitoring_file start_postgres_exporter start_sql_exporter serve_sql_exporter start_node_exporter
  start_prometheus promql series_of series_in differing wait_for_series end_program);

my @running;

END
{
	local $?;
	$_->{process}->kill_kill foreach grep { $_->{process} } @running;
}

sub _program
{
	my ($name) = @_;
	my ($path) = grep { -x } map { "$_/$name" } '/usr/bin', split /:/, $ENV{PATH};
	return $path;
}

# The first of these programs that is not there; '' if all are.
sub program_missing
{
	foreach my $name (@_)
	{
		return $name unless _program($name);
	}
	return '';
}

# A file of the folder monitoring.
sub monitoring_file
{
	my ($name) = @_;
	return slurp_file("$FindBin::RealBin/../../monitoring/$name");
}

# Starts a program that serves HTTP at a free port, and waits until it answers at $path.
# $command gets that address. Returns {name, address, process}.
sub _serve
{
	my ($name, $path, $command, $env) = @_;
	my $address = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
	my $log     = "$PostgreSQL::Test::Utils::log_path/$name.log";
	my @command = $command->($address);
	local @ENV{keys %{$env || {}}} = values %{$env || {}};
	my $process = IPC::Run::start(
		[_program($command[0]), @command[1 .. $#command]],
		'<'  => \undef,
		'>'  => $log,
		'2>' => $log
	);
	my $program = {name => $name, address => $address, process => $process};
	push @running, $program;

	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return $program if HTTP::Tiny->new(timeout => 5)->get("http://$address$path")->{success};
		$process->pumpable or last;
		select undef, undef, undef, 0.1;
	}
	die "$name does not answer: see $log";
}

sub end_program
{
	my ($program) = @_;
	$program->{process}->kill_kill if $program->{process};
	$program->{process} = undef;
	return;
}

# postgres_exporter with the file of this project, but that each scrape reads anew, and
# nothing of its own, logged in as $role.
sub start_postgres_exporter
{
	my ($node, $role, $name) = @_;
	my $queries = PostgreSQL::Test::Utils::tempdir() . '/queries.yml';
	my $text    = monitoring_file('postgres_exporter.yml');
	$text =~ s/cache_seconds: \d+/cache_seconds: 0/g or die 'no cache_seconds';
	append_to_file($queries, $text);
	my $source =
	  $node->connstr('postgres') . " user=$role sslmode=disable application_name=exporter";
	return _serve(
		$name // 'postgres_exporter',
		'/metrics',
		sub {
			return (
				'prometheus-postgres-exporter', "--web.listen-address=$_[0]",
				'--disable-default-metrics',    '--disable-settings-metrics',
				"--extend.query-path=$queries"
			);
		},
		{DATA_SOURCE_NAME => $source}
	);
}

# Debian's prometheus-sql-exporter, once a second.
sub start_sql_exporter
{
	my ($node, $role) = @_;
	my $config = PostgreSQL::Test::Utils::tempdir() . '/config.yml';
	my $text   = monitoring_file('prometheus-sql-exporter.yml');
	my $source = sprintf 'postgres://%s@:%s/postgres?host=%s&sslmode=disable', $role, $node->port,
	  $node->host;
	$text =~ s/interval: 15s/interval: 1s/     or die 'no interval';
	$text =~ s{postgres://MONITOR\S+}{$source} or die 'no connection';
	append_to_file($config, $text);
	return serve_sql_exporter($config);
}

# The same with this file and environment, as its service has them.
sub serve_sql_exporter
{
	my ($config, %env) = @_;
	return _serve(
		'sql_exporter', '/metrics',
		sub { return ('prometheus-sql-exporter', "-web.listen-address=$_[0]") },
		{CONFIG => $config, %env}
	);
}

# node_exporter with its textfile collector alone, reading $folder.
sub start_node_exporter
{
	my ($folder) = @_;
	return _serve(
		'node_exporter',
		'/metrics',
		sub {
			return (
				'prometheus-node-exporter',     "--web.listen-address=$_[0]",
				'--collector.disable-defaults', '--collector.textfile',
				"--collector.textfile.directory=$folder"
			);
		}
	);
}

# Prometheus that scrapes these once a second: the job has the program's name. rules: a
# file with rules; name: its own.
sub start_prometheus
{
	my ($programs, %param) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $config = "$folder/prometheus.yml";
	append_to_file($config, "global: {scrape_interval: 1s, evaluation_interval: 1s}\n");
	append_to_file($config, "rule_files: ['$param{rules}']\n") if $param{rules};
	append_to_file($config, "scrape_configs:\n");
	append_to_file($config,
		"  - {job_name: $_->{name}, static_configs: [{targets: ['$_->{address}']}]}\n")
	  foreach @$programs;
	return _serve(
		$param{name} // 'prometheus',
		'/-/ready',
		sub {
			return (
				'prometheus',                       "--config.file=$config",
				"--storage.tsdb.path=$folder/data", "--web.listen-address=$_[0]"
			);
		}
	);
}

# What Prometheus answers to an expression now: [{metric => {}, value => n}, ...].
sub promql
{
	my ($prometheus, $expression) = @_;
	my $http   = HTTP::Tiny->new(timeout => 30);
	my $asked  = $http->www_form_urlencode({query => $expression});
	my $answer = $http->get("http://$prometheus->{address}/api/v1/query?$asked");
	$answer->{success} or die "$expression: $answer->{status} $answer->{content}";
	my $data = decode_json($answer->{content})->{data};
	return [{metric => {}, value => $data->{result}[1]}] if $data->{resultType} eq 'scalar';
	return [map { {metric => $_->{metric}, value => $_->{value}[1]} } @{$data->{result}}];
}

# The name of a series: that of the metric, and its labels but those of the scrape.
sub _series_name
{
	my ($metric, $labels) = @_;
	my @pairs = map {
		my $value = $_ eq 'le' && $labels->{$_} ne '+Inf' ? 0 + $labels->{$_} : $labels->{$_};
		"$_=\"$value\""
	} grep { !/^(__name__|job|instance|server)$/ } sort keys %$labels;
	return $metric . '{' . join(',', @pairs) . '}';
}

sub _add_histogram
{
	my ($series, $metric, $labels, $row, $name) = @_;
	my @up_to = @{$row->{"${name}_bucket"}};
	foreach my $le (@{$row->{$name}}, '+Inf')
	{
		$series->{_series_name("${metric}_bucket", {%$labels, le => $le})} = shift @up_to
		  // $row->{"${name}_count"};
	}
	$series->{_series_name("${metric}_$_", $labels)} = $row->{"${name}_$_"} foreach 'sum', 'count';
	return;
}

# What the views say, as series: name => value, by what metrics_catalog says of their
# columns.
sub series_of
{
	my ($node, @views) = @_;
	my %series;
	foreach my $view (@views)
	{
		my @columns = map { [split /\|/] } split /\n/,
		  query($node,
			"SELECT name, kind, metric FROM pool_monitor.metrics_catalog WHERE view = '$view'");
		my @labels = map { $_->[0] } grep { $_->[1] eq 'label' } @columns;
		my $rows   = query($node, "SELECT json_agg(v) FROM pool_monitor.$view AS v");
		foreach my $row (@{decode_json($rows)})
		{
			my %labels = map { $_ => $row->{$_} } @labels;
			foreach my $column (@columns)
			{
				my ($name, $kind, $metric) = @$column;
				$series{_series_name($metric, \%labels)} = $row->{$name}
				  if $kind =~ /^(gauge|counter)$/;
				_add_histogram(\%series, $metric, \%labels, $row, $name) if $kind eq 'histogram';
			}
		}
	}
	return \%series;
}

# What Prometheus has of a job now, likewise.
sub series_in
{
	my ($prometheus, $job) = @_;
	my $all = promql($prometheus, "{job=\"$job\",__name__=~\"pool_monitor_.+\"}");
	return {map { _series_name($_->{metric}{__name__}, $_->{metric}) => $_->{value} } @$all};
}

# The series that are missing, or too many, or not between what they were before and after.
sub differing
{
	my ($before, $series, $after) = @_;
	my @bad;
	foreach my $name (sort keys %{{%$before, %$series, %$after}})
	{
		my ($from, $is, $to) = map { $_->{$name} } $before, $series, $after;
		if (!defined $from || !defined $is || !defined $to)
		{
			push @bad, "$name: " . join ' ', map { $_ // 'missing' } $from, $is, $to;
			next;
		}
		($from, $to) = ($to, $from) if $from > $to;
		my $slack = 1e-9 * abs $to;
		push @bad, "$name: $from $is $to" if $is < $from - $slack || $is > $to + $slack;
	}
	return join "\n", @bad;
}

# Waits until Prometheus has scraped this job after $time.
sub _wait_for_scrape
{
	my ($prometheus, $job, $time) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my $scraped = promql($prometheus, "timestamp(up{job=\"$job\"})");
		return if @$scraped && $scraped->[0]{value} > $time;
		select undef, undef, undef, 0.1;
	}
	die "$job is not scraped";
}

# What the session that asks for the views adds to them: it is not there when a program
# asks by a session of its own, which it keeps.
my %asking = (
	'pool_monitor_pool_connections{pool="(undeclared)"}' => 1,
	'pool_monitor_server_connections{}'                  => 1,
	'pool_monitor_server_undeclared_connections{}'       => 1,
	'pool_monitor_server_available_connections{}'        => -1,
);

sub _without_asking
{
	my ($series) = @_;
	foreach my $name (keys %asking)
	{
		$series->{$name} -= $asking{$name} if exists $series->{$name};
	}
	return $series;
}

# Waits until Prometheus has of this job what the views say; returns what differed last, ''
# if nothing does. skip: a pattern for what differs by the act of looking; refresh: called
# between the looks at the views, by a session as theirs; delay: for how long, in s, the program answers with what
# it read before; series: how to read them.
sub wait_for_series
{
	my ($prometheus, $job, $node, %param) = @_;
	my @views  = @{$param{views} || ['metrics_pool', 'metrics_server']};
	my $series = $param{series} || \&series_in;
	my $bad;
	foreach (1 .. 20)
	{
		my $before = series_of($node, @views);
		$param{refresh}->() if $param{refresh};
		_wait_for_scrape($prometheus, $job, time + 1 + ($param{delay} // 0));
		my $is    = $series->($prometheus, $job);
		my $after = series_of($node, @views);
		_without_asking($_) foreach $param{refresh} ? () : ($before, $after);
		foreach my $set ($before, $is, $after)
		{
			delete @{$set}{grep { $_ =~ $param{skip} } keys %$set} if $param{skip};
		}
		$bad = %$is ? differing($before, $is, $after) : 'nothing';
		return '' if $bad eq '';
	}
	return $bad;
}

1;
