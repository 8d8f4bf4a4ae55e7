# Who may do what, really tried: each table, column, function and setting that the
# catalogs know, by each kind of role, against the tables in docs/rights.md; what is
# new there, or in the catalogs, fails until it is in both. Needs real logins: regress
# has one, of a superuser.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorRights;
use PostgreSQL::Test::Utils;
use Test::More;

my $node      = rights_server('rights');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# In docs/rights.md each kind of role is a column.
my @kinds = (
	'everybody',         'CREATEROLE', 'database owner',  'pg_signal_backend',
	'pg_read_all_stats', 'pg_monitor', 'extension owner', 'superuser'
);
my %role = (
	'everybody'         => 'plain',
	'CREATEROLE'        => 'creator',
	'database owner'    => 'dbowner',
	'pg_signal_backend' => 'signaller',
	'pg_read_all_stats' => 'reader',
	'pg_monitor'        => 'monitor',
	'extension owner'   => 'extowner',
	'superuser'         => $superuser
);

my $other = PoolMonitor::Holder->new($node, user => 'other', application_name => 'other');
create_probe($node, 'postgres');

subtest 'the extension has nothing but what is tried here' => sub {
	is(
		$node->safe_psql(
			'postgres', q{
	SELECT DISTINCT d.classid::regclass::text FROM pg_depend AS d
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor') AND d.deptype = 'e'
		AND d.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass)}
		),
		'',
		'the extension has relations, functions and their types only'
	);
	is(
		$node->safe_psql(
			'postgres',
			q{SELECT count(*) FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid::regclass::text LIKE 'pool_monitor.%'}
		),
		'0',
		'no column has rights of its own'
	);
};

# There is nothing else in it for a superuser to declare by mistake.
subtest 'every function of the library that SQL can name is one that the script declares' => sub {
	my $library = slurp_file(`$ENV{PG_CONFIG} --pkglibdir` =~ s/\n//r . '/pool_monitor.so');
	my %entry   = map { $_ => 1 } $library =~ /pg_finfo_(\w+)/g;
	cmp_ok(scalar keys %entry, '>', 20, 'functions of the library are found');
	is(join(' ', grep { $script !~ /'$_'/ } sort keys %entry),
		'', 'and each is declared by the script');
};

# ---- what is documented ----

my $document = slurp_file("$root/docs/rights.md");

# The table below the mark: row and column to cell.
sub documented
{
	my ($mark)  = @_;
	my ($table) = $document =~ /<!-- matrix: $mark -->\n((?:\|.*\n)*)/;
	my @rows =
	  map {
		[map { s/^\s+|\s+$|`//gr } split /\|/, s/^\||\|$//gr]
	  } split /\n/, $table // '';
	my ($head, undef) = splice @rows, 0, 2;
	my %cells;
	foreach my $row (@rows)
	{
		fail("$mark: $row->[0] stands there once") if $cells{$row->[0]};
		$cells{$row->[0]}{$head->[$_]} = $row->[$_] foreach 1 .. $#$head;
	}
	return %cells;
}

# Compares; if the document is wrong, shows the table that would be right.
sub compare
{
	my ($mark, $columns, %got) = @_;
	my %want = documented($mark);
	my $ok =
	  is(join(', ', sort keys %got), join(', ', sort keys %want), "$mark: all are documented");
	foreach my $object (sort keys %got)
	{
		my ($is, $should) =
		  map {
			my $row = $_;
			join ' | ', map { "$_: " . ($row->{$_} // 'nothing') } @$columns
		  } $got{$object}, $want{$object};
		$ok = 0 unless is($is, $should, "$mark: $object");
	}
	diag join "\n", 'as it is:', map {
		my $object = $_;
		join ' | ', "| `$object`", map { "$got{$object}{$_}" } @$columns
	} sort keys %got unless $ok;
	return;
}

# What a role gets: cells by kind and object. $before is run first.
sub attempt
{
	my ($role, $before) = @_;
	my (%done, %cells, @columns);
	my $sql = ($before // '')
	  . q{CREATE TEMP TABLE mine (); SELECT kind, object, what, probe.try(sql) FROM probe.attempts ORDER BY kind DESC};
	foreach my $line (split /\n/, as($node, $role, $sql))
	{
		my ($kind, $object, $what, $result) = split /\|/, $line, 4;
		$done{$kind}{$object}{$what} = $result;
	}
	foreach my $object (keys %{$done{relation}})
	{
		my %tried = %{$done{relation}{$object}};
		my @may   = ();
		my $read  = $tried{read} // '42501';
		push @may, 'read'       if $read eq 'ok';
		push @may, "read $read" if $read !~ /^(ok|42501)$/;
		$may[0] .= $tried{details} eq 'true' ? ' all' : ' own' if exists $tried{details};

		# a value that the constraints refuse (23502) was for it to write
		my @writes = grep { exists $tried{$_} && $tried{$_} =~ /^(ok|23502)$/ }
		  qw(insert update delete truncate lock);
		push @may, @writes == 5 ? 'write' : @writes;
		my @defines = grep { exists $tried{$_} && $tried{$_} eq 'ok' } qw(trigger define own);
		push @may, 'define' if @defines;
		foreach (sort keys %tried)
		{
			push @may, "$_ $tried{$_}"
			  if $tried{$_} !~ /^(ok|t|f|42501|23502|55000|428C9)$/ && $_ ne 'details';
		}
		$cells{relation}{$object} = @may ? join(', ', @may) : '-';
		my %by_column =
		  map { $_ eq 'ok' ? ('yes', 1) : ($_, 1) } values %{$done{column}{$object} // {}};
		@columns = (@columns, "$object " . join ' ', sort keys %by_column)
		  if %by_column && join(' ', keys %by_column) ne ($read eq 'ok' ? 'yes' : '42501');
	}

	# 55000: it may, but the declarations of an owner like this are not loaded
	foreach my $object (keys %{$done{function}})
	{
		my $result = $done{function}{$object}{call};
		$cells{function}{$object} =
			$result =~ /^(ok|55000)$/ ? 'yes'
		  : $result eq '42501'        ? '-'
		  :                             $result;
	}
	is(join(', ', @columns), '', "$role: each column is as its relation");
	return %cells;
}

my %cells;
subtest 'relations and functions' => sub {
	my (%relation, %function);
	foreach my $column (@kinds)
	{
		$node->safe_psql('postgres', 'ALTER ROLE extowner NOSUPERUSER')
		  if $column eq 'extension owner';
		$cells{$column} = {attempt($role{$column})};
		$node->safe_psql('postgres', 'ALTER ROLE extowner SUPERUSER')
		  if $column eq 'extension owner';
		$relation{$_}{$column} = $cells{$column}{relation}{$_}
		  foreach keys %{$cells{$column}{relation}};
		$function{$_}{$column} = $cells{$column}{function}{$_}
		  foreach keys %{$cells{$column}{function}};
	}
	compare('relations', [@kinds], %relation);
	compare('functions', [@kinds], %function);
};

# Both ways.
subtest 'rights go by the role that is set' => sub {
	is_deeply({attempt('joe')}, $cells{everybody}, 'a member that does not inherit');
	is_deeply({attempt('joe', 'SET ROLE monitor;')},
		$cells{pg_monitor}, 'the same one after SET ROLE');
	is_deeply({attempt($superuser, 'SET ROLE plain;')},
		$cells{everybody}, 'a superuser after SET ROLE');
};

subtest 'CREATEROLE gives itself roles only on 15' => sub {

	# On 15 CREATEROLE may give itself such a role; that is the server's rule.
	my $major =
	  $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");
	is(
		as($node, 'creator', "SELECT probe.try('GRANT pg_monitor, pg_signal_backend TO creator')"),
		$major < 16 ? 'ok' : '42501',
		'CREATEROLE gives itself roles only on 15'
	);
};

subtest 'settings' => sub {
	my %setting;
	my @settings = split /\n/,
	  $node->safe_psql('postgres', "SELECT name FROM pg_settings WHERE name LIKE 'pool_monitor.%'");
	cmp_ok(scalar @settings, '>=', 16, 'the settings are found');
	foreach my $column (@kinds)
	{
		my $sql = '';
		foreach my $name (@settings)
		{
			$sql .=
			  "SELECT current_setting('$name') AS value \\gset\n\\echo $name show :SQLSTATE\n";
			foreach my $how (
				['set',      "SET $name = :'value'"],
				['role',     "ALTER ROLE CURRENT_USER SET $name = :'value'"],
				['database', "ALTER DATABASE postgres SET $name = :'value'"],
				['system',   "ALTER SYSTEM SET $name = :'value'"]
			  )
			{
				$sql .= "$how->[1];\n\\echo $name $how->[0] :SQLSTATE\n";
			}
		}
		$node->safe_psql('postgres', 'ALTER ROLE extowner NOSUPERUSER')
		  if $column eq 'extension owner';
		my (undef, $out) = $node->psql(
			'postgres', $sql,
			on_error_stop => 0,
			extra_params  => ['-U', $role{$column}]
		);
		$node->safe_psql('postgres', 'ALTER ROLE extowner SUPERUSER')
		  if $column eq 'extension owner';
		my %may;
		while ($out =~ /^pool_monitor\.(\w+) (\w+) (\w+)$/mg)
		{
			push @{$may{$1}}, $2 if $3 eq '00000';
		}
		$setting{$_}{$column} = join(', ', @{$may{$_}}) =~ s/system/alter system/r
		  foreach keys %may;
	}
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	compare('settings', [@kinds], %setting);
	my ($rc) = $node->psql('postgres', 'SELECT 1',
		connstr => $node->connstr('postgres') . " options='-c pool_monitor.recycle_enabled=off'");
	isnt($rc, 0, 'no setting comes with a login');
};

subtest 'declarations, where somebody was granted to write them' => sub {
	$node->safe_psql('postgres', <<'EOS');
CREATE ROLE writer LOGIN;
CREATE ROLE ender LOGIN IN ROLE pg_signal_backend;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON pool_monitor.pools TO writer, ender;
SET client_min_messages = error;
INSERT INTO pool_monitor.pools (name, priority, application_name, recycle_mode, shrink_idle) VALUES
	('before', 10, 'a%', 'report', false), ('ends', 20, 'a%', 'terminate', true), ('after', 30, 'a%', 'report', false);
INSERT INTO pool_monitor.pools (name, priority, application_name, guard) VALUES ('held', 15, 'b%', 'enforce');
EOS
	my %statement = (
		'INSERT, recycle_mode report' =>
		  q{INSERT INTO pool_monitor.pools (name, priority) VALUES ('new', 90)},
		'INSERT, recycle_mode terminate' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, recycle_mode) VALUES ('new', 90, 'terminate')},
		'INSERT, shrink_idle' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, shrink_idle) VALUES ('new', 90, true)},
		'INSERT, guard report' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, guard) VALUES ('new', 90, 'report')},
		'INSERT, guard enforce' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, application_name, guard) VALUES ('new', 90, 'n', 'enforce')},
		'UPDATE to guard enforce' =>
		  q{UPDATE pool_monitor.pools SET guard = 'enforce' WHERE name = 'after'},
		'UPDATE of the budget of a row with guard enforce' =>
		  q{UPDATE pool_monitor.pools SET budget = 100 WHERE name = 'held'},
		'DELETE of a row with guard enforce' =>
		  q{DELETE FROM pool_monitor.pools WHERE name = 'held'},
		'INSERT of a row before one with guard enforce' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('new', 1, 'b-1')},
		'INSERT of a row before one with guard enforce, of other names' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('new', 1, 'c')},
		'INSERT of a row before one with terminate' =>
		  q{INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('new', 19, 'a-1')},
		'UPDATE to recycle_mode terminate' =>
		  q{UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'after'},
		'UPDATE to shrink_idle' =>
		  q{UPDATE pool_monitor.pools SET shrink_idle = true WHERE name = 'after'},
		'UPDATE of the size of a report row' =>
		  q{UPDATE pool_monitor.pools SET pool_size = 6 WHERE name = 'after'},
		'UPDATE of the patterns of a row before one with terminate' =>
		  q{UPDATE pool_monitor.pools SET application_name = 'ab%' WHERE name = 'before'},
		'DELETE of a row before one with terminate' =>
		  q{DELETE FROM pool_monitor.pools WHERE name = 'before'},
		'DELETE of a row after all with terminate' =>
		  q{DELETE FROM pool_monitor.pools WHERE name = 'after'},
		'UPDATE of anything in a row with terminate' =>
		  q{UPDATE pool_monitor.pools SET description = 'x' WHERE name = 'ends'},
		'DELETE of a row with terminate' => q{DELETE FROM pool_monitor.pools WHERE name = 'ends'},
		'TRUNCATE, with a row with terminate in it' => 'TRUNCATE pool_monitor.pools'
	);
	my %writer = ('granted' => 'writer', 'granted, and pg_signal_backend' => 'ender');
	my %write;
	foreach my $what (keys %statement)
	{
		foreach my $column (keys %writer)
		{
			my $result =
			  as($node, $writer{$column},
				"SET client_min_messages = error; SELECT probe.try(\$\$$statement{$what}\$\$)");
			$write{$what}{$column} = $result eq 'ok' ? 'yes' : $result eq '42501' ? '-' : $result;
		}
	}
	compare('declarations', [sort keys %writer], %write);
	$node->safe_psql('postgres', 'SET client_min_messages = error; DELETE FROM pool_monitor.pools');
};

$other->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
