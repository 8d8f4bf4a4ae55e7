# monitoring/alerts.yml: promtool's unit tests of it pass, each alert has one in which it
# fires and one in which it is silent, and what it names is there: the metrics in the
# views, the chapter in the documents. TAP, as it needs promtool and the views' names.
use strict;
use warnings FATAL => 'all';
use List::Util  qw(sum0);
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $root   = "$FindBin::RealBin/../..";
my $rules  = slurp_file("$root/monitoring/alerts.yml");
my $tests  = slurp_file("$root/monitoring/alerts_test.yml");
my $alert  = qr/^      - alert: (\w+)\n(.*?)(?=^      - alert:|^  - name:|\z)/ms;
my %alerts = $rules =~ /$alert/g;

# comments are no use of a name
s/^\s*#.*\n//gm foreach $rules, $tests;

cmp_ok(scalar keys %alerts, '>=', 10, 'alerts were found');

subtest 'promtool' => sub {
	plan skip_all => 'promtool is not installed'
	  if system('command -v promtool >/dev/null 2>&1') != 0;
	foreach my $command ('check rules', 'test rules')
	{
		my $file = $command eq 'check rules' ? 'alerts.yml' : 'alerts_test.yml';
		my $out  = `cd '$root/monitoring' && promtool $command $file 2>&1`;
		is($?, 0, "promtool $command") or diag($out);
	}
};

# What is expected of each alert at some time: nothing, or something.
my (%fires, %silent);
while ($tests =~
	/(?:^      - \{eval_time: \w+, |^        )alertname: (\w+)(?:, exp_alerts: (\S.*)\}$|\n        exp_alerts:(.*)\n)/gm
  )
{
	my ($name, $expected) = ($1, $2 // $3);
	my $which = $expected eq '[]' ? \%silent : \%fires;
	$which->{$name}++;
}
is(join(' ', sort keys %fires),  join(' ', sort keys %alerts), 'each one fires in a test');
is(join(' ', sort keys %silent), join(' ', sort keys %alerts), 'each one is silent in a test');
is(
	() = $tests =~ /\balertname: /g,
	sum0(values %fires, values %silent),
	'and no expectation was overlooked'
);

# The text below the heading that has the anchor, up to the next heading; as the hosts of
# documents make anchors.
sub chapter
{
	my ($text, $anchor) = @_;
	while ($text =~ /^#+ (.+)\n((?:(?!#+ ).*\n)*)/gm)
	{
		my ($heading, $chapter) = ($1, $2);
		$heading =~ s/[^\w\s-]//g;
		return $chapter if lc($heading =~ s/ /-/gr) eq $anchor;
	}
	return '';
}

my %severities = map { $_ => 1 } qw(critical warning info);
foreach my $name (sort keys %alerts)
{
	my $text       = $alerts{$name};
	my ($severity) = $text =~ /^        labels: \{severity: (\w+), component: pool_monitor\}$/m;
	my ($path, $anchor) = $text =~ /^          runbook_url: (docs\/[\w-]+\.md)#([\w-]+)$/m;

	ok($severities{$severity // ''}, "$name: has a severity");
	like($text, qr/^          summary: \S.*^          description: >-$/ms,
		"$name: says what it is");
	like($text, qr/^          summary: .*\$labels\.instance/m, "$name: and of which server")
	  unless $name eq 'PoolMonitorAbsent';
	my $document = slurp_file("$root/$path");
	like(chapter($document, $anchor), qr/(?:^|\. )$name[.:] /m, "$name: its chapter is there");
	like(
		chapter($document, $anchor),
		qr/^<!-- test: alert_\w+ -->\n```sql\n/m,
		"$name: with a query that a test runs"
	);
	like($document, qr/^\| \[$name\]\(#$anchor\) \| $severity \|/m,
		"$name: and it is in the table");
}

my $node    = new_server('alerts');
my %catalog = map { $_ => 1 } split /\n/,
  query($node, 'SELECT metric FROM pool_monitor.metrics_catalog');
my %named = map { $_ => 1 } "$rules$tests" =~ /\b(pool_monitor_(?:pool|server|application)_\w+)/g;
is(join(' ', grep { !$catalog{$_} } sort keys %named), '', 'each metric is in the views');
cmp_ok(scalar keys %named, '>=', 15, 'and some are named');
done_testing();
