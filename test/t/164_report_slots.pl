# The server's slots in the page of report(), beside budgets of any size: whoever declares a pool
# must not make the bars of what there is too small to be seen. Of documents put together.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorReport;
use Test::More;

my $node = new_server('report_slots');

# The stacks of a server of 100 slots, 40 of them taken, and a pool of that budget: what is
# written above each, and its rectangles as [left, width] in percent.
sub stacks
{
	my ($budget, $now) = @_;
	my $page = page_of($node,
		'{"server": {"max_connections": 100, "usable": 97, "connection_budget": 80, "reserved": 3, "connections": 40,'
		  . ' "undeclared": 10}, "pools": [{"pool": "web", "declared": {"budget": '
		  . "$budget}, \"now\": {\"connections\": $now}}, "
		  . '{"pool": "small", "declared": {"budget": 5}, "now": {"connections": 0}}]}');
	is(well_formed($page), '', 'well formed');
	my %stacks;
	while ($page =~ m{<h4>([^<]*)</h4>\s*<svg class="stack".*?>(.*?)</svg>}gs)
	{
		my ($title, $svg) = ($1, $2);
		my $rectangles = [];
		push @$rectangles, [$1 // 0, $2]
		  while $svg =~ /<rect class="\w+"(?: x="([\d.]+)%")?[^>]*? width="([\d.]+)%"/g;
		$stacks{$title =~ /^Declared/ ? 'budgets' : $title =~ /^Conn/ ? 'now' : 'slots'} =
		  {title => $title, rectangles => $rectangles};
	}
	return \%stacks;
}

sub right_end
{
	my ($stack) = @_;
	my $end = 0;
	foreach (@{$stack->{rectangles}})
	{
		my $right = $_->[0] + $_->[1];
		$end = $right if $right > $end;
	}
	return $end;
}

subtest 'budgets within the slots' => sub {
	my $of = stacks(60, 30);
	cmp_ok(abs(right_end($of->{slots}) - 100),  '<', 0.1, 'the slots are all of the width');
	cmp_ok(abs(right_end($of->{budgets}) - 65), '<', 0.1, 'budgets are against them');
	cmp_ok(abs(right_end($of->{now}) - 40),     '<', 0.1, 'and connections');
	unlike($of->{budgets}{title}, qr/cut/, 'nothing is cut');
};

subtest 'twice what there is' => sub {
	my $of = stacks(200, 30);
	cmp_ok(abs(right_end($of->{budgets}) - 100), '<', 0.1, 'is all of the width');
	cmp_ok(abs(right_end($of->{slots}) - 100 / 2.05),
		'<', 0.1, 'and the slots are the less of it, the more that is');
	unlike($of->{budgets}{title}, qr/cut/, 'nothing is cut');
};

subtest 'far more than there is' => sub {
	foreach my $budget (1000, 12400000, '1e15')
	{
		my $of = stacks($budget, 30);
		cmp_ok(right_end($of->{slots}),   '>',  30,    "$budget: the slots are seen");
		cmp_ok(right_end($of->{now}),     '>',  10,    'and the connections');
		cmp_ok(right_end($of->{budgets}), '<=', 100.1, 'the budgets end where the width does');
		like($of->{budgets}{title}, qr/; the bar is cut$/, 'which is said');
	}
};

done_testing();
