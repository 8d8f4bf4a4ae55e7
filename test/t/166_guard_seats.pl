# The guard's places are taken and given back by processes that may be stopped at any
# instruction. A server cannot be made to stop there, so the code itself is raced, by a
# program that has nothing else: test/clients/seats.c and seats_moves.c.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $top       = "$FindBin::RealBin/../..";
my $program   = PostgreSQL::Test::Utils::tempdir() . '/seats';
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
my ($cc)      = run_command([$pg_config, '--cc']);
my ($include) = run_command([$pg_config, '--includedir-server']);

is(
	system_log(
		split(' ', $cc),
		'-O2',
		'-D_GNU_SOURCE',
		"-I$top/src",
		"-I$include",
		'-o', $program,
		(
			map { "$top/$_.c" }
			  qw(test/clients/seats test/clients/seats_moves test/clients/assertion src/accounts/seats src/accounts/seatterms src/accounts/seatsection)
		)
	),
	0,
	'the code of the places builds by itself'
);
my $output;
ok(IPC::Run::run([$program, 5], '>', \$output),
	'no limit was ever passed, and all counts are 0 in the end');
note($output);
like(
	$output,
	qr/^[1-9]\d{3,} taken, [1-9]\d+ \+ [1-9]\d+ refused, [1-9]\d+ moved/m,
	'while many took one, found none, and went elsewhere'
);

done_testing();
