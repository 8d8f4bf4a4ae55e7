# The page of report(): made from documents that are in files or put together, and taken
# apart again.
package PoolMonitorReport;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use FindBin;
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(lay_past example page_of well_formed colours contrast);

# A day by the minute and so many hours, of so many pools: test/report/past.sql. After
# create_replay().
sub lay_past
{
	my ($node, $pools, $minutes, $hours) = @_;
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		slurp_file("$FindBin::RealBin/../report/past.sql"),
		on_error_die => 1,
		extra_params => [
			'--quiet', '--set', "pools=$pools", '--set', "minutes=$minutes", '--set',
			"hours=$hours"
		]
	);
	return;
}

# The document behind the pictures in docs.
sub example
{
	return slurp_file("$FindBin::RealBin/../../docs/report/example.json");
}

# The page of a document.
sub page_of
{
	my ($node, $document, $settings) = @_;
	my ($stdout, $stderr);
	$document =~ s/'/''/g;
	$node->psql(
		'postgres',
		($settings // '') . "SELECT pool_monitor.report_page('$document')",
		stdout       => \$stdout,
		stderr       => \$stderr,
		on_error_die => 1,
		extra_params => ['--quiet']
	);
	return $stdout;
}

my %void = map { $_ => 1 } qw(meta br);

# What is wrong with it as HTML, '' if nothing: each tag is closed in its turn, attributes
# are in quotes and no two of one name, each id is there once and each that is named is there;
# there is no script, nothing that runs, and no address of elsewhere.
sub well_formed
{
	my ($page) = @_;
	my (@open, %ids, @named);

	return "not ASCII: $1" if $page  =~ /([^\x20-\x7e\n].{0,20})/;
	return 'no doctype' unless $page =~ s/^<!DOCTYPE html>\n//;
	$page                            =~ s{<style>(.*?)</style>}{}s or return 'no style';
	my $style = $1;
	return 'style asks for something' if $style =~ /url\((?!#)|\@import|expression|</;
	while ($page =~ /\G([^<]*)(?:<([^>]*)>|$)/gc)
	{
		my ($text, $tag) = ($1, $2);
		return "a lone & or >: $1" if $text =~ /(&(?!#\d+;|amp;|lt;|gt;).{0,10}|.{0,10}>)/;
		last unless defined $tag;
		if ($tag =~ m{^/(\w+)$})
		{
			my $last = pop @open // 'nothing';
			return "</$1> closes $last" if $last ne $1;
			next;
		}
		return "odd tag <$tag>" unless $tag =~ s{^([a-zA-Z][a-zA-Z0-9]*)}{};
		my $name   = $1;
		my $closed = $tag =~ s{/$}{};
		my %has;
		return "<$name> is not to be there"
		  if $name =~
		  /^(script|iframe|object|embed|link|base|form|img|foreignObject|animate|set)$/i;
		while ($tag =~ s/^\s+([a-zA-Z][a-zA-Z0-9-]*)="([^"]*)"//)
		{
			my ($key, $value) = ($1, $2);
			return "$key twice in <$name>" if $has{$key}++;
			return "$key runs something"   if $key =~ /^on/i || $value =~ /javascript:|data:/i;
			return "$key=$value"           if $key =~ /^(xlink:)?(href|src)$/ && $value !~ /^#/;
			return "id $value twice"       if $key eq 'id' && $ids{$value}++;
			push @named, $value =~ /^#(.*)/ ? $1 : split / /, $value
			  if $key =~ /^(href|aria-labelledby)$/;
		}
		return "odd attributes in <$name$tag>" if $tag =~ /\S/ && $tag !~ /^ open$/;
		push @open, $name unless $closed || $void{$name};
	}
	return "not closed: @open" if @open;
	my @missing = grep { !$ids{$_} } @named;
	return @missing ? "no such id: @missing" : '';
}

# {light => {name => [r, g, b]}, dark => ...}, from the page's own style.
sub colours
{
	my ($page)  = @_;
	my ($light) = $page =~ /<style>\n:root\{(.*?)\}/s;
	my ($dark)  = $page =~ /prefers-color-scheme:dark\)\{:root\{(.*?)\}/s;
	my %of;
	foreach my $scheme (['light', $light], ['dark', "$light;$dark"])
	{
		my ($name, $text) = @$scheme;
		$of{$name}{$1} = [map { hex } $2, $3, $4]
		  while $text =~ /--([\w-]+):#(..)(..)(..)(?:[0-9a-f]{2})?(?=;|$)/g;
	}
	return \%of;
}

sub _luminance
{
	my @linear =
	  map { my $c = $_ / 255; $c <= 0.04045 ? $c / 12.92 : (($c + 0.055) / 1.055)**2.4 } @{$_[0]};
	return 0.2126 * $linear[0] + 0.7152 * $linear[1] + 0.0722 * $linear[2];
}

# As WCAG 2.1 defines it: 1 to 21.
sub contrast
{
	my ($light, $dark) = sort { $b <=> $a } map { _luminance($_) } @_;
	return ($light + 0.05) / ($dark + 0.05);
}

1;
