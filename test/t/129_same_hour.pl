# The example of docs/watch.md that compares an hour with the same one of the day before, of
# which the minutes are no longer kept: it takes this hour, and no part of another. Needs a
# past of two days, which is replayed.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use PostgreSQL::Test::Utils;
use Test::More;

my $node    = advice_server('same_hour');
my $example = slurp_file("$FindBin::RealBin/../../docs/watch.md");
$example =~ s/.*(SELECT [^;]*pool_monitor\.changes\([^;]*);.*/$1/s or die 'it has no such example';

# In the hours around it there were ten times as many.
sub lay_out
{
	my ($connections) = @_;
	my $figures = "3600, n, n, n / 2.0, n, 0, 0, 0, 0, 3600, 0, 0, 0";
	query($node, <<"EOS");
BEGIN;
SELECT replay_rings(ARRAY(SELECT m FROM generate_series(date_trunc('minute', now()) - interval '1439 min', now(), '1 min') AS m),
	ARRAY(SELECT h FROM generate_series(date_trunc('hour', now(), 'UTC') - interval '48 hours', now(), '1 hour') AS h));
SELECT count(replay_stretch(p, '1 hour', h.at, $figures))
FROM unnest(ARRAY['web', '(server)']) AS p,
	(SELECT date_trunc('hour', now(), 'UTC') - i * interval '1 hour' AS at, CASE WHEN i = 25 THEN $connections ELSE 50 END AS n
		FROM generate_series(1, 48) AS i) AS h;
SELECT count(replay_stretch(p, '1 minute', m, 60, 5, 5, 2.5, 5, 0, 0, 0, 0, 60, 0, 0, 0))
FROM unnest(ARRAY['web', '(server)']) AS p,
	generate_series(date_trunc('hour', now(), 'UTC') - interval '1 hour', date_trunc('hour', now(), 'UTC') - interval '1 min',
		'1 min') AS m;
COMMIT;
EOS
	return;
}

pools($node, row('web', pool_size => 60, max_overflow => 0));
replay($node, ['web', 1], ['(server)', 1]);

my $of_web =
  "SELECT name, what, before, after FROM ($example) AS c WHERE name = 'web' AND what = 'connections'";

# So many then; not while an hour begins.
sub told
{
	my ($connections) = @_;
	my ($before, $told);
	do
	{
		$before = query($node, "SELECT date_trunc('hour', now())");
		lay_out($connections);
		$told = query($node, $of_web);
	} while ($before ne query($node, "SELECT date_trunc('hour', now())"));
	return $told;
}

is(told(5), '', 'the same then: nothing has changed, whatever the hours around it had');
is(told(3), 'web|connections|3.000|5.000', 'another number then: that is told');

done_testing();
