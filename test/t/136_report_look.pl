# The page of report(), looked at: in a real browser, narrow and wide, light and dark, and as on paper, no text
# lies on another and nothing is outside of the window, with an example, hostile names, many
# pools, and nothing at all. And the contrast of its colours, from its own style sheet.
use strict;
use warnings FATAL => 'all';
use JSON::PP qw(decode_json encode_json);
use PoolMonitor;
use PoolMonitorReport;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('report_look', "timezone = 'UTC'\n");

subtest 'contrast is that of WCAG, AA' => sub {
	my $colours = colours(page_of($node, '{}'));
	cmp_ok(contrast([0, 0, 0], [255, 255, 255]), '==', 21, 'the formula: black on white');
	is(sprintf('%.2f', contrast([0x77, 0x77, 0x77], [255, 255, 255])), '4.48', 'and a grey');
	foreach my $scheme ('light', 'dark')
	{
		my $of    = $colours->{$scheme};
		my @texts = grep { /^t-/ } sort keys %$of;
		my @forms = grep { /^g-/ } sort keys %$of;
		cmp_ok(scalar @texts, '>=', 6,  "$scheme: colours of text");
		cmp_ok(scalar @forms, '>=', 15, "$scheme: colours of graphics");
		foreach my $ground ('bg', 'panel')
		{
			is(join(' ', grep { contrast($of->{$_}, $of->{$ground}) < 4.5 } @texts),
				'', "$scheme: text on $ground");
			is(join(' ', grep { contrast($of->{$_}, $of->{$ground}) < 3 } @forms),
				'', "$scheme: graphics on $ground");
		}
	}
};

# What the page is made of.
my %documents = (example => example());
$documents{nothing} = '{}';
{
	my $n = 0;
	foreach my $case (['ten', 10], ['many', 64])
	{
		my $document = decode_json(example());
		my @all      = map {
			{ %{$document->{pools}[$_ % 4]}, pool => 'pool number ' . ($n++) }
		} 1 .. $case->[1];
		$document->{pools} = \@all;
		$documents{$case->[0]} = encode_json($document);
	}

	my $hostile = decode_json(example());
	my @names   = (
		'x' x 63,
		'<script>document.title="bad"</script>',
		"\x{202e}turned \x{2066}round\x{200b}",
		'"><img src=x onerror=fetch("/x")>',
		"\x{5e9}\x{5dc}\x{5d5}\x{5dd} and more of it " x 2,
		"Z\x{301}\x{327}\x{334}" x 20,
		'W W W ' x 10
	);
	$_->{pool} = $names[$n++ % @names] foreach @{$hostile->{pools}}, @{$hostile->{events}{last}};
	$_->{declared}{description} = $names[$n++ % @names] x 5   foreach @{$hostile->{pools}};
	$_->{declared}{budget}      = $_->{declared}{ceiling} + 1 foreach @{$hostile->{pools}};
	$_->{$_->{pool} ? 'pool' : 'application_name'} = $names[$n++ % @names]
	  foreach @{$hostile->{at_peak}}, @{$hostile->{holders}};
	$documents{hostile} = encode_json($hostile);
}

subtest 'a page is of a size that can be sent on' => sub {
	foreach my $case (['ten', 200_000], ['many', 1_250_000])
	{
		my $page = page_of($node, $documents{$case->[0]});
		is(well_formed($page), '', "$case->[0] pools with all that they can have");
		note(length $page);
		cmp_ok(length $page, '<', $case->[1], "below $case->[1] bytes");
	}
};

my ($chromium) = grep { -x } '/usr/bin/chromium', '/usr/bin/chromium-browser';
SKIP:
{
	skip 'there is no chromium', 1 unless $chromium;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my @pages;
	foreach my $name (sort keys %documents)
	{
		my $page = page_of($node, $documents{$name});
		append_to_file("$folder/$name.html", $page);
		push @pages, "$folder/$name.html";
	}

	# one that is not as it should be in each way, so that it is known that this is seen
	append_to_file("$folder/wrong.html",
		'<!DOCTYPE html><html><body><p style="position:absolute;top:5px">One text</p><p style="position:absolute;top:8px">Another one</p>'
		  . '<p style="width:2000px">wide</p><img src="http://localhost:1/x.png"><script>console.log("said")</script></body></html>'
	);
	my ($out, $err) = run_command(
		[python(), "$FindBin::RealBin/../report/look.py", $chromium, @pages, "$folder/wrong.html"]);
	is($err, '', 'the browser is driven');
	my @looks = map { ("$_ light", "$_ dark") } 400, 800, 1400;
	foreach my $name (sort keys %documents)
	{
		foreach my $look (@looks, '720 print')
		{
			ok(
				$out =~
				  /^$name\.html $look: texts \d+, overlaps 0, outside 0, requests 0, messages 0$/m,
				"$name, $look"
			);
		}
	}
	like(
		$out,
		qr/^wrong\.html 400 dark: texts 3, overlaps [1-9]\d*, outside [1-9]\d*, requests 1, messages [1-9]/m,
		'what is wrong is seen'
	);
	diag($out) unless Test::More->builder->is_passing;
}

is(log_count($node, 'PANIC|TRAP|ERROR'), 0, 'nothing broke');
$node->stop;
done_testing();
