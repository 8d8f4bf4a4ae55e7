# A file of statistics that is damaged is noticed wherever that is, set aside, and not
# used in part. Only TAP can write such files, and have each read by a server that
# starts again.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorStatfile;
use PoolMonitorStatfileReader;
use Test::More;

my $node   = statfile_server('statfile_damaged');
my $reader = PoolMonitorStatfileReader->new($node);
my $saved  = $reader->{saved};

subtest 'a file that is as it was' => sub {
	$reader->accepts($saved, 'as it was');
	put_contents(file_of($node) . '.tmp', 'left by a crash' x 1000);
	$reader->accepts($saved, 'beside an old temporary file');
};

subtest 'a header of which a byte is flipped' => sub {
	foreach my $position (0 .. HEADER_SIZE - 1)
	{
		$reader->refuses(
			flipped($saved, $position),
			$position < 8
			? q{it is not a file of pool_monitor's statistics}
			: 'its header is damaged',
			"byte $position of the header is flipped"
		);
	}
};

subtest 'a body of which a byte is flipped' => sub {
	my $length = length body_of($saved);
	my %sample = map { int($_ * ($length - 1) / 44) => 1 } 0 .. 44;
	cmp_ok(keys %sample, '>=', 40, 'enough positions');
	$reader->refuses(
		flipped($saved, HEADER_SIZE + $_),
		'it is damaged',
		"byte $_ of $length of the body is flipped"
	) foreach sort { $a <=> $b } keys %sample;
};

subtest 'a file that is too short or too long' => sub {
	$reader->refuses(substr($saved, 0, $_), 'it is not complete', "$_ bytes of it are left")
	  foreach 0, 1, HEADER_SIZE / 2, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 1,
	  length($saved) - 1;
	$reader->refuses($saved . "\0",      'it is not complete', 'one byte more');
	$reader->refuses($saved . 'x' x 500, 'it is not complete', 'garbage at the end');
	$reader->refuses($saved . $saved,    'it is not complete', 'twice the same');
};

subtest 'and after all of that' => sub {
	$reader->accepts($saved, 'after all of that');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
