# The report's page when the most connections are those of now: the mark of it, at the right edge of the
# picture, is whole on a screen and on paper. Needs a browser.
use strict;
use warnings FATAL => 'all';
use JSON::PP qw(decode_json encode_json);
use PoolMonitor;
use PoolMonitorReport;
use PostgreSQL::Test::Utils;
use Test::More;

my ($chromium) = grep { -x } '/usr/bin/chromium', '/usr/bin/chromium-browser';
plan skip_all => 'there is no chromium' unless $chromium;

my $node     = new_server('report_edge', "timezone = 'UTC'\n");
my $document = decode_json(example());
foreach my $curve (map { $_->{curve} } $document->{server}, @{$document->{pools}})
{
	$curve->{peak}                  = 90;
	$curve->{most_connections}[-1]  = 90;
	$curve->{least_connections}[-1] = 80;
	$curve->{connections}[-1]       = 85;
	$curve->{peak_at}               = $document->{report}{until};
}
my $page = page_of($node, encode_json($document));
like($page, qr/most connections: 90 at 2026-11-29 00:56/, 'the most are those of now');

my $file = PostgreSQL::Test::Utils::tempdir() . '/edge.html';
append_to_file($file, $page);
my ($out, $err) = run_command([python(), "$FindBin::RealBin/../report/look.py", $chromium, $file]);
is($err, '', 'the browser is driven');
is(() = $out =~ /^edge\.html .*overlaps 0, outside 0, /gm,
	7, 'nothing is outside of any screen or paper')
  or diag($out);
$node->stop;
done_testing();
