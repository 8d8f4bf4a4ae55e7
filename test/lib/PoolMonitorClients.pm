# Real clients of the tests, and the sessions that they hold.
package PoolMonitorClients;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use IPC::Open2;
use IPC::Run;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(python client client_command holder holder_of app_holder pgbench disturb);

# Debian's own: what apt installs is seen by it, and not by another one on PATH.
sub python
{
	return -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
}

# A client of our own (test/clients) that answers each line with one line.
sub client
{
	my ($program, @arguments) = @_;
	return client_command(python(), "$FindBin::RealBin/../clients/$program", @arguments);
}

# The same in another language.
sub client_command
{
	my (@command) = @_;
	my $self      = bless {}, 'PoolMonitor::Holder';
	$self->{pid} = open2($self->{out}, $self->{in}, @command);
	return $self;
}

# Sessions of an application, as PoolMonitor::Holder->new() takes them.
sub holder
{
	my ($node, $name, %param) = @_;
	return PoolMonitor::Holder->new($node, application_name => $name, %param);
}

# The same, of a role where nothing else is said.
sub holder_of
{
	my ($user, $node, $name, %param) = @_;
	return holder($node, $name, user => $user, %param);
}

# So many of the role "app".
sub app_holder
{
	my ($node, $name, $sessions, %param) = @_;
	return holder_of('app', $node, $name, sessions => $sessions, %param);
}

# pgbench, which runs a script as a role, for longer than a test takes: it is to be
# killed.
sub pgbench
{
	my ($node, $user, $script, @options) = @_;
	return IPC::Run::start(
		[
			'pgbench', '-n', '-T',  10 * $PostgreSQL::Test::Utils::timeout_default,
			@options,  '-U', $user, '-h', $node->host, '-p', $node->port, '-f', $script, 'postgres'
		],
		'>',
		\my $out,
		'2>',
		\my $err
	);
}

# Has all idle sessions catch up with invalidations, more than the server's queue of them
# takes, and those that listen to "here" with a notification.
sub disturb
{
	my ($node) = @_;
	my $others = holder($node, 'others');
	$others->do(
		'sql 0 DO $$ BEGIN FOR i IN 1 .. 600 LOOP EXECUTE format(\'CREATE TEMP TABLE t%s (i int)\', i); COMMIT; EXECUTE format(\'DROP TABLE t%s\', i); COMMIT; END LOOP; END $$'
	);
	$others->do('sql 0 NOTIFY here');
	$others->close;
	return;
}

# Sessions of a real client: test/clients/holder.py. Its commands are answered
# with one line each.
package PoolMonitor::Holder;

use strict;
use warnings FATAL => 'all';

sub new
{
	my (undef, $node, %param) = @_;
	my $dsn = sprintf(
		"host=%s port=%s dbname=%s",
		$param{host} // $node->host,
		$node->port, $param{dbname} // 'postgres'
	);
	$dsn .= " user=$param{user}" if $param{user};
	$dsn .= " $param{dsn}"       if $param{dsn};
	my $self = PoolMonitorClients::client(
		'holder.py', $dsn,
		$param{application_name} // 'holder',
		$param{sessions}         // 1
	);
	my $ready = $self->answer;
	die "holder: $ready" unless $ready eq 'ready';
	return $self;
}

sub answer
{
	my ($self) = @_;
	my $line;

	local $SIG{ALRM} = sub { die "no answer from the client\n" };
	alarm $PostgreSQL::Test::Utils::timeout_default;
	$line = readline $self->{out};
	alarm 0;
	die "the client ended\n" unless defined $line;
	chomp $line;
	return $line;
}

# do('sql 0 SELECT 1') and so on; see holder.py.
sub do
{
	my ($self, $command) = @_;
	print {$self->{in}} "$command\n";
	$self->{in}->flush;
	return $self->answer;
}

sub close
{
	my ($self) = @_;
	return unless $self->{pid};
	close $self->{in};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return;
}

sub DESTROY { my ($self) = @_; local $?; $self->close; return; }

1;
