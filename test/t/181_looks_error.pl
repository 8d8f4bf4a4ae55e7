# What a session has read of the others, and keeps for its next look, is whole again after an
# error on the way: the memory for one class more is not there. Only a library of the tests
# can take it away at that place.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT create_forge);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('looks_error');
create_forge($node);

# Each name is a class more; at some 230 the table is to grow to more than there is memory for.
my $names = <<'EOS';
DO $$
BEGIN
	FOR i IN 1 .. 900 LOOP
		PERFORM set_config('application_name', 'name ' || i, false);
		IF NOT EXISTS (SELECT FROM pool_monitor.applications WHERE application_name = 'name ' || i) THEN
			RAISE EXCEPTION 'name % is not there', i;
		END IF;
	END LOOP;
END $$;
EOS
my ($rc, $out, $err) = $node->psql('postgres', <<"EOS", on_error_stop => 0);
SET application_name = 'looker';
SELECT count(*) FROM pool_monitor.applications WHERE application_name = 'looker';
SELECT forge_no_memory('pool_monitor sessions', 12000);
$names
SELECT application_name FROM pool_monitor.applications WHERE application_name LIKE 'name %' OR application_name = 'looker';
SELECT forge_no_memory('pool_monitor sessions', 0);
$names
$names
SELECT application_name FROM pool_monitor.applications WHERE application_name LIKE 'name %' OR application_name = 'looker';
EOS

like($err, qr/there is no memory: forged/, 'the error came');
unlike($err, qr/ERROR.*ERROR/s, 'no other one did');
is($out, "1\nt\nlooker\nt\nname 900", 'before it, after it and with memory again all is seen');
is($rc,  0,                           'the session is there to its end');
is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
done_testing();
