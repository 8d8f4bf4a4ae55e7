# The file of statistics as it describes itself: a header, and rows of layouts whose fields
# have names. Read into Perl, changed there, and written again with CRCs that are right.
# See src/statfile/statformat.h.
package PoolMonitorStatformat;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';

our @EXPORT = qw(HEADER_SIZE field with_field sealed crc32c body_of parsed built with_history
  bucket_row layout_of add_field drop_field each_row);

# magic, format and major, system_identifier, inode, saved_at, last_event,
# body_length: eight bytes each; body_crc, complete, header_length, crc: four bytes each
use constant HEADER_SIZE => 7 * 8 + 4 * 4;

# where in the header
my %at = (
	magic             => [0,  'Q'],
	format            => [8,  'L'],
	major             => [12, 'L'],
	system_identifier => [16, 'Q'],
	inode             => [24, 'Q'],
	saved_at          => [32, 'q'],
	last_event        => [40, 'Q'],
	body_length       => [48, 'Q'],
	body_crc          => [56, 'L'],
	complete          => [60, 'L'],
	header_length     => [64, 'L'],
	crc               => [68, 'L']
);

# a layout's name, length of a row, number of fields; and a field's name, type, offset, length
use constant {LAYOUT => 'Z64 L L', FIELD => 'Z64 L L L', FIELD_SIZE => 76};
use constant {INT => 1, UINT => 2, REAL => 3, TEXT => 4};

# Times of PostgreSQL count from 2000 on, in microseconds.
use constant EPOCH => 946_684_800;

sub field
{
	my ($data,   $name) = @_;
	my ($offset, $type) = @{$at{$name}};
	return unpack $type, substr($data, $offset, 8);
}

# A copy in which a field of the header is another.
sub with_field
{
	my ($data, $name, $value) = @_;
	my ($offset, $type) = @{$at{$name}};
	my $bytes = pack $type, $value;
	substr($data, $offset, length $bytes) = $bytes;
	return $data;
}

my @crc_table = map {
	my $crc = $_;
	$crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
	$crc;
} 0 .. 255;

sub crc32c
{
	my ($data) = @_;
	my $crc = 0xFFFFFFFF;
	$crc = ($crc >> 8) ^ $crc_table[($crc ^ $_) & 0xFF] foreach unpack 'C*', $data;
	return $crc ^ 0xFFFFFFFF;
}

sub body_of { my ($data) = @_; return substr($data, HEADER_SIZE) }

# With lengths and CRCs that are right.
sub sealed
{
	my ($data) = @_;
	$data = with_field($data, 'body_length', length body_of($data));
	$data = with_field($data, 'body_crc',    crc32c(body_of($data)));
	return with_field($data, 'crc', crc32c(substr($data, 0, $at{crc}[0])));
}

# ---- rows ----

my %pack = (
	INT,  {1 => 'c', 2 => 's', 4 => 'l', 8 => 'q'},
	UINT, {1 => 'C', 2 => 'S', 4 => 'L', 8 => 'Q'},
	REAL, {8 => 'd'}
);

sub code
{
	my ($f) = @_;
	return $f->{type} == TEXT ? "a$f->{length}" : $pack{$f->{type}}{$f->{length}};
}

sub read_row
{
	my ($layout, $bytes) = @_;
	return {map { $_->{name} => unpack code($_), substr($bytes, $_->{offset}, $_->{length}) }
		  @{$layout->{fields}}};
}

sub write_row
{
	my ($layout, $row) = @_;
	my $bytes = "\0" x $layout->{row_length};
	substr($bytes, $_->{offset}, $_->{length}) = pack code($_), $row->{$_->{name}} // 0
	  foreach @{$layout->{fields}};
	return $bytes;
}

sub read_layout
{
	my ($record) = @_;
	my ($name, $row_length, $nfields) = unpack LAYOUT, $record;
	my @fields;
	foreach my $i (0 .. $nfields - 1)
	{
		my %f;
		@f{qw(name type offset length)} = unpack FIELD,
		  substr($record, 72 + $i * FIELD_SIZE, FIELD_SIZE);
		push @fields, \%f;
	}
	return {name => $name, row_length => $row_length, fields => \@fields};
}

sub write_layout
{
	my ($layout) = @_;
	return
	  pack(LAYOUT, $layout->{name}, $layout->{row_length}, scalar @{$layout->{fields}}) . join '',
	  map { pack FIELD, @$_{qw(name type offset length)} } @{$layout->{fields}};
}

# A file as {header, layouts => [...], records => [{layout => name, rows => [{field => value}]}]}
sub parsed
{
	my ($data) = @_;
	my $file   = {header => substr($data, 0, HEADER_SIZE), layouts => [], records => []};
	my $body   = body_of($data);
	while ($body ne '')
	{
		my ($kind, $length) = unpack 'L L', $body;
		my $record = substr($body, 8, $length);
		$body = substr($body, 8 + $length);
		if ($kind == 0)
		{
			push @{$file->{layouts}}, read_layout($record);
			next;
		}
		my $layout = $file->{layouts}[$kind - 1];
		push @{$file->{records}},
		  {
			layout => $layout->{name},
			rows   => [map { read_row($layout, $_) } unpack "(a$layout->{row_length})*", $record]
		  };
	}
	return $file;
}

sub record { my ($kind, $bytes) = @_; return pack('L L', $kind, length $bytes) . $bytes }

# The layouts may be described otherwise than the rows are written.
sub built
{
	my ($file, $describe) = @_;
	my $rows = '';
	my %kind = map { $file->{layouts}[$_ - 1]{name} => $_ } 1 .. @{$file->{layouts}};
	foreach my $record (@{$file->{records}})
	{
		my $layout = layout_of($file, $record->{layout});
		$rows .= record($kind{$record->{layout}},
			join '', map { write_row($layout, $_) } @{$record->{rows}});
	}
	$describe->($file) if $describe;
	my $layouts = join '', map { record(0, write_layout($_)) } @{$file->{layouts}};
	return sealed($file->{header} . $layouts . $rows);
}

sub layout_of
{
	my ($file, $name) = @_;
	return (grep { $_->{name} eq $name } @{$file->{layouts}})[0];
}

sub each_row
{
	my ($file, $layout, $code) = @_;
	foreach my $record (grep { $_->{layout} eq $layout } @{$file->{records}})
	{
		$code->($_) foreach @{$record->{rows}};
	}
	return;
}

# At the end of the row; with this value in all of them.
sub add_field
{
	my ($file, $layout, $name, $value, %how) = @_;
	my $l = layout_of($file, $layout);
	my %f = (type => UINT, length => 8, offset => $l->{row_length}, name => $name, %how);
	push @{$l->{fields}}, \%f;
	$l->{row_length} += $f{length};
	each_row($file, $layout, sub { $_[0]{$name} = $value });
	return;
}

sub drop_field
{
	my ($file, $layout, $name) = @_;
	my $l    = layout_of($file, $layout);
	my @rest = grep { $_->{name} ne $name } @{$l->{fields}};
	die "no field $layout.$name" if @rest == @{$l->{fields}};
	$l->{fields} = \@rest;
	return;
}

# ---- history ----

# A stretch of history in which every number is another, by this one.
sub bucket
{
	my ($n) = @_;
	my %bucket = (
		connections     => 60e6 * $n,
		busy            => 30e6 * $n,
		seen            => 60_000,
		overflow        => 3000,
		exhausted       => 2000,
		over            => 1000,
		starved         => 500,
		waited          => 1e6 * $n,
		'checked out'   => 2e6 * $n,
		'reported open' => 4e6 * $n
	);
	@bucket{
		qw(max_connections max_busy connects disconnects refused retired transactions rejected auth_failures checkouts),
		'checkout waits',
		'checkout timeouts',
		'timed checkouts'
	} = map { $n + $_ } 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130;
	return \%bucket;
}

# and how the view has it, after bucket_start
sub bucket_row
{
	my ($n) = @_;
	return join '|', 60, $n, $n + 10, $n / 2, map({ $n + $_ } 20, 30, 40, 50, 60, 70, 80, 90), 3,
	  2, 1, 0.5, $n + 100, $n + 110, $n, $n + 120, $n + 130,
	  2 * $n, 4 * $n;
}

# A copy in which the ring of so many seconds has these starts, and each pool these stretches.
sub with_history
{
	my ($data, $seconds, @starts) = @_;
	my $file = parsed($data);
	my $ring;
	foreach my $record (@{$file->{records}})
	{
		$ring = $record->{rows}[0]{resolution} / 1_000_000 if $record->{layout} eq 'ring';
		next                                               if !defined $ring || $ring != $seconds;
		$record->{rows} = [map { {start => ($_ - EPOCH) * 1_000_000} } @starts]
		  if $record->{layout} eq 'start';
		$record->{rows} = [map { bucket($_) } 1 .. @starts]
		  if $record->{layout} eq 'bucket';
	}
	return built($file);
}

1;
