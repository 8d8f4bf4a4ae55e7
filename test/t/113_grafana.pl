# The dashboard, in both of Grafana's forms: by the rules of Grafana's dashboard-linter, and
# each query with a real Prometheus that scrapes a real server. Needs these programs, pools
# at work, and clients that report. With PM_PANELS=FILE.png it is drawn: test/panels.py.
use strict;
use warnings FATAL => 'all';
use FindBin;
use JSON::PP    qw(decode_json);
use List::Util  qw(all max min sum);
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PoolMonitorPrometheus;
use PostgreSQL::Test::Utils;
use Test::More;

my $classic = decode_json(monitoring_file('grafana.json'));
my $v2      = decode_json(monitoring_file('grafana-v2.json'));
my @panels  = grep { $_->{type} ne 'row' } @{$classic->{panels}};
my @drawn   = grep { $_->{type} ne 'text' } @panels;
my %by_name = map  { $_->{name} => $_ } @{$classic->{templating}{list}};

# (title of its panel, expression) of each query.
my @queries = map {
	my $title = $_->{title};
	map { [$title, $_->{expr}] } @{$_->{targets}}
} @panels;

# The titles of the panels of which this does not hold.
sub without
{
	my ($check, @of) = @_;
	return join ', ', map { $_->{title} || 'one without a title' } grep { !$check->($_) } @of;
}

# The queries that do not match.
sub unlike_it
{
	my ($check) = @_;
	return join "\n", map { "$_->[0]: $_->[1]" } grep { !$check->($_->[1]) } @queries;
}

sub is_datasource
{
	my ($given) = @_;
	return
	  ref $given eq 'HASH' && $given->{type} eq 'prometheus' && $given->{uid} eq '${datasource}';
}

subtest 'what can be imported anywhere' => sub {
	is($classic->{id},       undef,           'no number of some server');
	is($classic->{uid},      'pool-monitor',  'always the same uid');
	is($classic->{editable}, JSON::PP::false, 'not editable');
	is($classic->{__inputs}, undef,           'nothing to be asked for at provisioning');
	ok($classic->{schemaVersion} >= 39 && $classic->{schemaVersion} <= 41, 'schemaVersion');
	my %ids = map { $_->{id} => 1 } @{$classic->{panels}};
	is(scalar(keys %ids), scalar @{$classic->{panels}}, 'each panel has its own number');
};

subtest 'rules of the linter: variables' => sub {
	my @sources = grep { $_->{type} eq 'datasource' } values %by_name;
	is(scalar @sources, 1, 'one data source');
	is_deeply(
		[@{$sources[0]}{'name', 'label', 'query'}],
		['datasource', 'Data source', 'prometheus'],
		'by its usual name'
	);
	foreach my $name ('job', 'instance', 'pool')
	{
		my $given = $by_name{$name};
		is($given->{label}, ucfirst $name, "$name: its label");
		ok($given->{type} eq 'query' && is_datasource($given->{datasource}), 'asked for');
		ok($given->{multi}           && $given->{includeAll},                'several, or all');
		is($given->{allValue}, $name eq 'pool' ? undef : '.+', 'what all is');
		is($given->{refresh},  2,                              'asked for when the time changes');
	}
};

subtest 'rules of the linter: panels' => sub {
	my $units = qr/^(none|short|percentunit|s|cpm)$/;
	is(without(sub { length $_[0]{title} && length $_[0]{description} }, @panels),
		'', 'title and description');
	is(without(sub { is_datasource($_[0]{datasource}) }, @panels), '', 'the variable data source');
	is(
		without(
			sub {
				all { is_datasource($_->{datasource}) } @{$_[0]{targets}};
			},
			@drawn
		),
		'',
		'of each query, too'
	);
	is(without(sub { ($_[0]{fieldConfig}{defaults}{unit} // '') =~ $units }, @drawn), '', 'a unit');
	is(
		without(
			sub { @{$_[0]{targets}} && $_[0]{type} =~ /^(timeseries|stat|state-timeline)$/ },
			@drawn
		),
		'',
		'something to draw'
	);
};

subtest 'rules of the linter: queries' => sub {
	is(
		unlike_it(
			sub {
				!grep { !/job=~"\$job",instance=~"\$instance"/ } $_[0] =~ /\{(.*?)\}/g;
			}
		),
		'',
		'each selector has job and instance'
	);
	is(
		unlike_it(
			sub {
				!grep { $_ ne '$__rate_interval' } $_[0] =~ /\[(.*?)\]/g;
			}
		),
		'',
		'each range is $__rate_interval'
	);
	is(
		unlike_it(
			sub {
				my ($text) = @_;
				!grep { index($text, "unless resets($_) > 0)") < 0 }
				  $text =~ /(?<!\w)rate\(([^()]*)\)/g;
			}
		),
		'',
		'no rate goes over a counter that went back'
	);
};

my $node = new_server('grafana', "max_connections = 20\nsuperuser_reserved_connections = 3\n");
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
declare($node,
		insert_pool('web', usename => "'app'", pool_size => 2, max_overflow => 1, surge => 1)
	  . insert_pool('a.b (1) {2}|[3]', application_name => "'odd'", pool_size => 1));

subtest 'what it names is there' => sub {
	my %kinds = map { split /\|/ } split /\n/,
	  query($node,
		"SELECT metric, kind FROM pool_monitor.metrics_catalog WHERE kind IN ('gauge', 'counter', 'part')"
	  );
	my (@unknown, @wrong);
	foreach my $query (@queries)
	{
		my $text = $query->[1];
		while ($text =~ /((?<!\w)(?:rate|resets)\()?\b(pool_monitor_\w+)/g)
		{
			my ($rate, $metric) = ($1, $2);
			push @unknown, $metric unless $kinds{$metric};
			push @wrong,   $metric if ($kinds{$metric} // '') eq 'gauge' xor !$rate;
		}
	}
	is("@unknown", '', 'each metric is in metrics_catalog');
	is("@wrong",   '', 'rate() of counters, and of them alone');

	my ($timeline) = grep { $_->{type} eq 'state-timeline' } @panels;
	my $names = $timeline->{fieldConfig}{defaults}{mappings}[0]{options};
	my $help =
	  query($node,
		"SELECT help FROM pool_monitor.metrics_catalog WHERE metric = 'pool_monitor_pool_status'");
	is_deeply(
		{map { $_ => $names->{$_}{text} } keys %$names},
		{$help =~ /\b(\d) (\w+)/g},
		'names of statuses are those of the view'
	);

	my ($text) = map { $_->{options}{content} } grep { $_->{type} eq 'text' } @panels;
	my @statements = $text =~ /^(SELECT .*;)$/mg;
	ok(@statements >= 3, 'queries to go on with');
	my @failing = grep { ($node->psql('postgres', $_))[0] } @statements;
	is("@failing", '', 'and they run');
};

# (title, description, plug-in, options and the rest of how it looks, queries), in order.
sub of_classic
{
	return [
		map {
			[
				@{$_}{'title', 'description', 'type', 'options', 'fieldConfig'},
				$_->{repeat},
				@{$_->{gridPos}}{'x', 'w', 'h'},
				map { [@{$_}{'refId', 'expr', 'legendFormat', 'instant'}] } @{$_->{targets}}
			]
		} @panels
	];
}

sub of_v2
{
	my @items = map { @{$_->{spec}{layout}{spec}{items}} } @{$v2->{spec}{layout}{spec}{rows}};
	my @made;
	foreach my $place (map { $_->{spec} } @items)
	{
		my $panel = $v2->{spec}{elements}{$place->{element}{name}}{spec};
		my $viz   = $panel->{vizConfig};
		my @asked = map { [$_->{spec}{refId}, $_->{spec}{query}] } @{$panel->{data}{spec}{queries}};
		push @made,
		  [
			@{$panel}{'title', 'description'},
			$viz->{group},
			@{$viz->{spec}}{'options', 'fieldConfig'},
			$place->{repeat}{value},
			@{$place}{'x', 'width', 'height'},
			map { [$_->[0], @{$_->[1]{spec}}{'expr', 'legendFormat', 'instant'}] } @asked
		  ];
	}
	return \@made;
}

subtest 'the second form' => sub {
	is_deeply(
		[@{$v2}{'apiVersion', 'kind'}, $v2->{metadata}{name}],
		['dashboard.grafana.app/v2',   'Dashboard', $classic->{uid}],
		'a resource'
	);
	is_deeply(of_v2(), of_classic(), 'the same panels in the same order, with the same queries');
	my @rows = map { $_->{title} } grep { $_->{type} eq 'row' } @{$classic->{panels}};
	is_deeply([map { $_->{spec}{title} } @{$v2->{spec}{layout}{spec}{rows}}],
		\@rows, 'in the same rows');
	is_deeply(
		[
			map { [$_->{spec}{name}, $_->{spec}{definition}, $_->{spec}{allValue}] }
			  @{$v2->{spec}{variables}}
		],
		[map { [@{$_}{'name', 'definition', 'allValue'}] } @{$classic->{templating}{list}}],
		'the same variables'
	);
	my $text    = monitoring_file('grafana-v2.json');
	my $sources = () = $text =~ /"datasource": \{\s*"name": "\$\{datasource\}"/g;
	is($sources, @queries + 3, 'each query has the variable data source');
};

# What somebody sees of a colour: in L*a*b*, after the matrix for a kind of blindness
# (Machado, Oliveira and Fernandes 2009, complete).
my %seen_by = (
	everybody => [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
	protan    => [
		[0.152286,  1.052583,  -0.204868],
		[0.114503,  0.786281,  0.099216],
		[-0.003882, -0.048116, 1.051998]
	],
	deutan => [
		[0.367322, 0.860646, -0.227968],
		[0.280085, 0.672501, 0.047413],
		[-0.01182, 0.04294,  0.968881]
	],
	tritan => [
		[1.255528,  -0.076749, -0.178779],
		[-0.078411, 0.930809,  0.147602],
		[0.004733,  0.691367,  0.3039]
	]
);

sub product
{
	my ($matrix, @vector) = @_;
	return map {
		my $row = $_;
		sum(map { $row->[$_] * $vector[$_] } 0 .. 2)
	} @$matrix;
}

sub lab
{
	my ($colour, $matrix) = @_;
	my @linear = map { $_ <= 0.04045 ? $_ / 12.92 : (($_ + 0.055) / 1.055)**2.4 }
	  map { hex($_) / 255 } $colour =~ /^#(..)(..)(..)$/;
	my @seen = map { min(1, max(0, $_)) } product($matrix, @linear);
	my @xyz =
	  product([[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8727]],
		@seen);
	my ($x, $y, $z) = map { $_ > 0.008856 ? $_**(1 / 3) : 7.787 * $_ + 16 / 116 } @xyz;
	return (116 * $y - 16, 500 * ($x - $y), 200 * ($y - $z));
}

subtest 'colours of statuses' => sub {
	my ($timeline) = grep { $_->{type} eq 'state-timeline' } @panels;
	my @colours =
	  map { $_->{color} } values %{$timeline->{fieldConfig}{defaults}{mappings}[0]{options}};
	foreach my $who (sort keys %seen_by)
	{
		my $least = 100;
		foreach my $i (1 .. $#colours)
		{
			my @one = lab($colours[$i], $seen_by{$who});
			foreach my $other (map { [lab($_, $seen_by{$who})] } @colours[0 .. $i - 1])
			{
				$least = min($least, sqrt sum(map { ($one[$_] - $other->[$_])**2 } 0 .. 2));
			}
		}
		cmp_ok($least, '>', 25, "$who: each is another than the others");
	}
};

# As Grafana puts in variables: of several values an alternative, quoted for PromQL.
my @pools = map { s/([\\.*+?^\$|(){}\[\]])/\\\\$1/gr } split /\n/,
  query($node, 'SELECT name FROM pool_monitor.pools');
my %value =
  (job => '.+', instance => '.+', pool => '(' . join('|', @pools) . ')', __rate_interval => '5m');

my $web  = app_holder($node, 'web', 3);
my $said = 0;

# Something of all that there are counts and histograms of.
sub work
{
	$web->do("sql $_ SELECT pg_sleep(0.01)") foreach 0 .. 2;
	$said++;
	$web->do(
		"sql 0 SELECT pool_monitor.client_report('a', 2, 1, 3, 2, 1, $said, $said, 0.5 * $said, 1, checked_out_seconds => 0.1 * $said)"
	);
	foreach my $name ('web', 'odd')
	{
		my $one = app_holder($node, $name, 1);
		$one->do('sql 0 SELECT 1');
		$one->close;
	}
	return;
}

# The queries that Prometheus has nothing for, or no number.
sub without_data
{
	my ($prometheus) = @_;
	my @bad;
	foreach my $query (@queries)
	{
		my $text = $query->[1] =~ s/\$(\w+)/$value{$1}/gr;
		my $rows = promql($prometheus, $text);
		push @bad, "$query->[0]: $text" unless grep { $_->{value} ne 'NaN' } @$rows;
	}
	return join "\n", @bad;
}

subtest 'every query has data' => sub {
	my $missing = program_missing('prometheus', 'prometheus-postgres-exporter');
	plan skip_all => "there is no $missing" if $missing;

	my $exporter   = start_postgres_exporter($node, 'watcher');
	my $prometheus = start_prometheus([$exporter]);
	my $bad;
	foreach (1 .. 2 * $PostgreSQL::Test::Utils::timeout_default)
	{
		work();
		$bad = without_data($prometheus);
		last if $bad eq '';
		select undef, undef, undef, 0.5;
	}
	is($bad, '', 'in Prometheus');
	my $text = '{job=~".+",pool=~"' . $value{pool} . '"}';
	is(scalar @{promql($prometheus, "pool_monitor_pool_status$text")}, 2, 'of both pools');

	if ($ENV{PM_PANELS})
	{
		work() foreach 1 .. 60;
		must_run(
			python(),
			"$FindBin::RealBin/../panels.py",
			"http://$prometheus->{address}",
			"$FindBin::RealBin/../../monitoring/grafana.json",
			$ENV{PM_PANELS}, 60, 10
		);
	}
};

$web->close;
$node->stop;
done_testing();
