# The table and the picture of docs/performance.md, and README's range of instructions, are
# what docs/bench.json says, and bench/page --check says so if not. Only TAP can run it over
# documents that were changed. Needs no server.
use strict;
use warnings FATAL => 'all';
use File::Path qw(make_path);
use FindBin;
use PoolMonitor qw(:DEFAULT);
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my @read = ('README.md', 'docs/bench.json', 'docs/bench.svg', 'docs/performance.md');

# What bench/page says of a copy in which $change has changed the text of one file, and
# whether it was content.
sub page
{
	my ($args, $file, $change) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	make_path("$folder/docs", "$folder/bench");
	foreach
	  my $path (@read, map { substr $_, length "$root/" } glob "$root/bench/*.py $root/bench/page")
	{
		local $_ = slurp_file("$root/$path");
		if (defined $file && $path eq $file)
		{
			my $before = $_;
			$change->();
			isnt($_, $before, "$path was changed");
		}
		append_to_file("$folder/$path", $_);
	}
	my $result =
	  IPC::Run::run([python(), "$folder/bench/page", @$args], '>', \my $out, '2>', \my $err);
	return ($result, "$out$err", $folder);
}

subtest 'as it stands here' => sub {
	my ($result, $said) = page(['--check']);
	ok($result, 'the documents are what the figures say');
	is($said, '', 'nothing is said');
};

subtest 'a figure that has changed' => sub {
	my @change = ('docs/bench.json', sub { s/("bench": "worker".*?"value": )[\d.]+/${1}7.77/ });
	my ($result, $said) = page(['--check'], @change);
	ok(!$result, 'fails');
	like($said, qr{performance\.md is not}, 'the table');
	like($said, qr{bench\.svg is not},      'the picture');

	my $folder;
	($result, $said, $folder) = page([], @change);
	ok($result, 'it is made');
	like(slurp_file("$folder/docs/performance.md"), qr/\| 7\.77 % of a core/, 'the table has it');
	like(slurp_file("$folder/docs/bench.svg"),      qr/>7\.77 %</,            'the picture has it');
};

subtest 'a table or a picture that was edited' => sub {
	my ($result, $said) =
	  page(['--check'], 'docs/performance.md', sub { s/times as fast/times faster/ });
	ok(!$result, 'the table: fails');
	like($said, qr{performance\.md is not}, 'and is named');
	($result, $said) = page(['--check'], 'docs/bench.svg', sub { s/width="/width="1/ });
	ok(!$result, 'the picture: fails');
	like($said, qr{bench\.svg is not}, 'and is named');
};

subtest 'a range in README.md that does not hold' => sub {
	foreach my $what ('A transaction takes', 'a connect and exit takes')
	{
		my ($result, $said) =
		  page(['--check'], 'README.md', sub { s/$what [\d,]+ to [\d,]+/$what 1 to 2/ });
		ok(!$result, "$what: fails");
		like($said, qr/$what 1 to 2; pool_monitor/, 'and says what was measured');
	}
};

done_testing();
