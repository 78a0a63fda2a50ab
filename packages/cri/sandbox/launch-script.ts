/**
 * The program that turns a fresh process into a container. It is Perl because the set-up needs system calls that no util-linux
 * tool offers together (bind mounts that survive pivot_root, environment names that are no shell identifiers), because
 * perl-base is part of every Debian system, and because it replaces itself by the container's command: nothing of it stays in
 * memory. It knows no policy: `launch-plan.ts` decides, this file carries out instructions from top to bottom and stops at the
 * first that fails, with a message that names it.
 *
 * Modes: `serve` carries out what it is asked for (server-script.ts): `keep` makes the pipes of a container and becomes its keeper
 * (keeper-script.ts), `run` carries out instructions. `run FILE` carries out those of FILE. Instructions are fields ended by NUL:
 * name, number of arguments, arguments.
 */
import { holderScript } from './holder-script.ts';
import { networkScript } from './network-script.ts';
import { serverScript } from './server-script.ts';
import { streamScript } from './stream-script.ts';

/** Numbers of the system calls by `process.arch`; numbers from 424 on are the same everywhere. */
const systemCalls: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  x64: {
    close: 3,
    execve: 59,
    setsid: 112,
    setgroups: 116,
    setresuid: 117,
    setresgid: 119,
    capset: 126,
    pivot_root: 155,
    prctl: 157,
    mount: 165,
    umount2: 166,
    sethostname: 170,
    setxattr: 188,
    exit_group: 231,
    keyctl: 250,
    mknodat: 259,
    unshare: 272,
    dup3: 292,
    setns: 308,
  },
  arm64: {
    setxattr: 5,
    dup3: 24,
    mknodat: 33,
    umount2: 39,
    mount: 40,
    pivot_root: 41,
    close: 57,
    capset: 91,
    exit_group: 94,
    unshare: 97,
    setresuid: 147,
    setresgid: 149,
    setsid: 157,
    setgroups: 159,
    sethostname: 161,
    prctl: 167,
    keyctl: 219,
    execve: 221,
    setns: 268,
  },
};

/** The program for a kind of machine; undefined where it is not known how to make containers. */
export function launchScript(arch: string): string | undefined {
  const table = systemCallTable(arch);
  return table && `${table}${setUpScript}${networkScript}${holderScript}${streamScript}${serverScript}${mainScript}`;
}

/** The part of it that becomes a container's first process. Every container reads it anew, so it holds nothing else. */
export function containerScript(arch: string): string | undefined {
  const table = systemCallTable(arch);
  return table && `${table}${setUpScript}run(@ARGV);\nleave(0);\n`;
}

function systemCallTable(arch: string): string | undefined {
  const numbers = systemCalls[arch];
  if (!numbers) return undefined;
  return `my $SYS = { ${Object.entries(numbers)
    .map(([name, number]) => `${name} => ${number}`)
    .join(', ')} };\n`;
}

// No modules, neither POSIX nor strict: loading them takes longer than making a container. A test reads the program under `strict`.
const setUpScript = String.raw`my ($OPEN_TREE, $MOVE_MOUNT, $MOUNT_SETATTR) = (428, 429, 442);
my ($AT_FDCWD, $AT_EMPTY_PATH, $AT_RECURSIVE, $OPEN_TREE_CLONE, $CLOEXEC) = (-100, 0x1000, 0x8000, 1, 0x80000);
my ($CLONE_NEWUSER, $CLONE_NEWPID, $CLONE_NEWNET, $CLONE_NEWIPC) = (0x10000000, 0x20000000, 0x40000000, 0x8000000);
my $PR_SET_PDEATHSIG = 1;
my ($O_RDONLY, $O_WRONLY, $O_RDWR, $O_CREAT, $O_NOCTTY, $O_TRUNC, $O_APPEND, $O_NONBLOCK) = (0, 1, 2, 0100, 0400, 01000, 02000, 04000);
my ($F_DUPFD, $F_SETFD, $F_GETFL, $F_SETFL, $F_DUPFD_CLOEXEC, $FD_CLOEXEC, $WNOHANG) = (0, 2, 3, 4, 1030, 1, 1);
my ($LOCK_EX, $LOCK_NB) = (2, 4);
my ($ENOENT, $EINTR, $EAGAIN, $EEXIST, $EINVAL) = (2, 4, 11, 17, 22);

my $errors;
my $report;
my @env;
my %tree;

sub stop {
  my ($message) = @_;
  if ($errors) { syswrite($errors, $message); } else { syswrite(STDERR, "$message\n"); }
  leave(128);
}

sub leave { syscall($SYS->{exit_group}, $_[0] + 0); }
sub close_descriptor { syscall($SYS->{close}, $_[0] + 0); }
sub duplicate { my ($from, $to) = @_; syscall($SYS->{dup3}, $from + 0, $to + 0, 0) if $from != $to; }
sub make_fifo { syscall($SYS->{mknodat}, $AT_FDCWD, my $path = "$_[0]\0", 0010600, 0) == 0 }

sub call {
  my ($name, @arguments) = @_;
  my $number = $name =~ /^\d+$/ ? $name : $SYS->{$name};
  my @copies = map { my $copy = $_; $copy =~ /^-?\d+$/ && length($copy) < 16 ? $copy + 0 : $copy } @arguments;
  return syscall($number, @copies);
}

# The path a mount ends on, with its directories made; a final symbolic link is followed, as a mount would.
sub target {
  my ($path, $isDirectory) = @_;
  for (1 .. 40) {
    last unless -l $path;
    my $to = readlink $path;
    $path = $to =~ m{^/} ? $to : ($path =~ s{[^/]*$}{}r) . $to;
  }
  return $path if -e $path;
  my $parent = $path =~ s{/[^/]*$}{}r;
  make_path($isDirectory ? $path : $parent, 0755);
  if (!$isDirectory) { open(my $file, '>>', $path) or return $path; close $file; }
  return $path;
}

sub make_path {
  my ($path, $mode) = @_;
  my $built = '';
  for my $part (split m{/}, $path) {
    next if $part eq '';
    $built .= "/$part";
    next if -d $built;
    mkdir($built, $mode) or $! == $EEXIST or return 0;
    chmod($mode, $built);
  }
  return 1;
}

sub clone_tree {
  my ($path, $recursive) = @_;
  my $descriptor = call($OPEN_TREE, $AT_FDCWD, "$path\0", $OPEN_TREE_CLONE | $CLOEXEC | ($recursive ? $AT_RECURSIVE : 0));
  return $descriptor;
}

sub set_attributes {
  my ($descriptor, $set, $propagation, $recursive) = @_;
  return 0 if !$set && !$propagation;
  my $attributes = pack('Q4', $set, 0, $propagation, 0);
  return syscall($MOUNT_SETATTR, $descriptor + 0, my $empty = "\0", $AT_EMPTY_PATH | ($recursive ? $AT_RECURSIVE : 0), $attributes, 32);
}

sub move_tree {
  my ($descriptor, $path) = @_;
  return syscall($MOVE_MOUNT, $descriptor + 0, my $empty = "\0", $AT_FDCWD, my $to = "$path\0", 0x4 | 0x10);
}

sub mount_at {
  my ($source, $path, $type, $flags, $data) = @_;
  return syscall($SYS->{mount}, my $s = "$source\0", my $p = "$path\0", my $t = "$type\0", $flags + 0, my $d = "$data\0");
}

sub file_of {
  my ($path, $mode, $content) = @_;
  sysopen(my $file, $path, $O_WRONLY | $O_CREAT | $O_TRUNC, oct $mode) or return undef;
  my $done = 0;
  while ($done < length $content) { $done += syswrite($file, $content, length($content) - $done, $done) // return undef; }
  return close $file;
}

# Each instruction returns true, or undef with $! set.
my %DO = (
  errors => sub { sysopen($errors, $_[0], $O_WRONLY | $O_CREAT | $O_APPEND, 0600) },
  # report: descriptor 3 closes when the command runs; report_errors: and says why when it cannot.
  report => sub { open($report, '>&=', 3) or return 1; fcntl($report, $F_SETFD, $FD_CLOEXEC); 1 },
  report_errors => sub { open($errors, '>&=', 3) or return undef; fcntl($errors, $F_SETFD, $FD_CLOEXEC); 1 },
  unshare => sub { call('unshare', $_[0]) == 0 },
  enter => sub {
    my ($path, $flags) = @_;
    sysopen(my $handle, $path, $O_RDONLY) or return undef;
    return call('setns', fileno($handle), $flags) == 0;
  },
  bind_namespace => sub { mount_at("/proc/self/ns/$_[0]", $_[1], 'none', 4096, '') == 0 },
  hostname => sub { my $name = $_[0]; syscall($SYS->{sethostname}, $name, length $name) == 0 },
  # file PATH MODE CONTENT; rename FROM TO: together a file that is there completely or not at all.
  file => sub { file_of(@_) },
  # binary_file PATH MODE HEX
  binary_file => sub { file_of($_[0], $_[1], pack('H*', $_[2])) },
  rename => sub { rename $_[0], $_[1] },
  write => sub { my ($path, $value) = @_; sysopen(my $f, $path, $O_WRONLY) or return undef; defined syswrite($f, $value) },
  try_write => sub { my ($path, $value) = @_; if (sysopen(my $f, $path, $O_WRONLY)) { syswrite($f, $value); } 1 },
  propagation => sub { mount_at('none', $_[0], 'none', $_[1], '') == 0 },
  mount => sub { mount_at(@_) == 0 },
  try_mount => sub { mount_at(@_); 1 },
  unmount => sub { syscall($SYS->{umount2}, my $p = "$_[0]\0", 2) == 0 || $! == $EINVAL || $! == $ENOENT },
  # clone NAME PATH RECURSIVE: keeps a copy of what is mounted at PATH, to be attached after the root has changed.
  clone => sub {
    my ($name, $path, $recursive) = @_;
    # What a descriptor is open on belongs to another mount namespace: its path is looked up in this one.
    $path = readlink($path) if $path =~ m{^/proc/self/fd/};
    make_path($path, 0755) unless -e $path;
    my $descriptor = clone_tree($path, $recursive);
    return undef if $descriptor < 0;
    $tree{$name} = { descriptor => $descriptor, directory => -d $path };
    1;
  },
  # attach NAME PATH ATTRIBUTES PROPAGATION READ_ONLY_BELOW
  attach => sub {
    my ($name, $path, $set, $propagation, $below) = @_;
    my $from = $tree{$name};
    set_attributes($from->{descriptor}, $set & 1, 0, $below) == 0 or return undef;
    set_attributes($from->{descriptor}, $set & ~1, $propagation, 1) == 0 or return undef;
    my $done = move_tree($from->{descriptor}, target($path, $from->{directory})) == 0;
    close_descriptor($from->{descriptor});
    delete $tree{$name};
    return $done;
  },
  pivot => sub {
    my ($root) = @_;
    chdir($root) or return undef;
    my $dot = ".\0";
    my $again = ".\0";
    syscall($SYS->{pivot_root}, $dot, $again) == 0 or return undef;
    syscall($SYS->{umount2}, $dot, 2) == 0 or return undef;
    return chdir('/');
  },
  mkdir => sub { make_path($_[0], oct $_[1]) },
  # directory PATH MODE UID GID: exactly these attributes.
  directory => sub { (mkdir($_[0], 0700) || $! == $EEXIST) && chown($_[2], $_[3], $_[0]) && chmod(oct $_[1], $_[0]) },
  opaque => sub { my $v = 'y'; syscall($SYS->{setxattr}, my $p = "$_[0]\0", my $n = "$_[1]\0", $v, 1, 0) == 0 },
  whiteout => sub {
    my $p = "$_[0]\0";
    my $failed = syscall($SYS->{mknodat}, $AT_FDCWD, $p, 0020000, 0);
    return $failed == 0 || $! == $EEXIST;
  },
  symlink => sub { symlink($_[0], $_[1]) || $! == $EEXIST },
  # mask PATH: nothing can be read there any more.
  mask => sub {
    my ($path) = @_;
    return 1 unless -e $path;
    return mount_at('tmpfs', $path, 'tmpfs', 1 | 2 | 4 | 8, 'size=0k,mode=755') == 0 if -d $path;
    my $null = clone_tree('/dev/null', 0);
    return undef if $null < 0;
    my $done = move_tree($null, $path) == 0;
    close_descriptor($null);
    return $done;
  },
  readonly => sub {
    my ($path) = @_;
    return 1 unless -e $path;
    my $copy = clone_tree($path, 1);
    return undef if $copy < 0;
    my $done = set_attributes($copy, 1, 0, 1) == 0 && move_tree($copy, $path) == 0;
    close_descriptor($copy);
    return $done;
  },
  readonly_root => sub {
    my $attributes = pack('Q4', 1, 0, 0, 0);
    syscall($MOUNT_SETATTR, $AT_FDCWD, my $root = "/\0", 0, $attributes, 32) == 0;
  },
  keyring => sub { syscall($SYS->{keyctl}, 1, 0, 0, 0, 0); 1 },
  session => sub { syscall($SYS->{setsid}); 1 },
  # bounding CAPABILITY...: takes these away for good.
  bounding => sub { for my $c (@_) { my $r = syscall($SYS->{prctl}, 24, $c + 0, 0, 0, 0); return undef if $r != 0 && $! != $EINVAL; } 1 },
  no_new_privileges => sub { syscall($SYS->{prctl}, 38, 1, 0, 0, 0) == 0 },
  # filter HEX: a seccomp program, in force from here on.
  filter => sub {
    my $bytes = pack('H*', $_[0]);
    my $program = pack('S x6 P', length($bytes) / 8, $bytes);
    syscall($SYS->{prctl}, 22, 2, $program, 0, 0) == 0;
  },
  groups => sub { my $list = pack('L*', @_); syscall($SYS->{setgroups}, scalar @_, $list) == 0 },
  own_streams => sub { for my $f (\*STDIN, \*STDOUT, \*STDERR) { chown($_[0], -1, $f) if -p $f || -t $f; } 1 },
  controlling_terminal => sub { ioctl(STDIN, 0x540E, 0) },
  user => sub {
    my ($uid, $gid) = @_;
    syscall($SYS->{setresgid}, $gid + 0, $gid + 0, $gid + 0) == 0 or return undef;
    syscall($SYS->{setresuid}, $uid + 0, $uid + 0, $uid + 0) == 0;
  },
  # capabilities LOW HIGH: what a process of user 0 holds; others hold none.
  capabilities => sub {
    my ($low, $high) = @_;
    syscall($SYS->{prctl}, 47, 4, 0, 0, 0);
    my $header = pack('Li', 0x20080522, 0);
    my $data = pack('L6', $low, $low, 0, $high, $high, 0);
    syscall($SYS->{capset}, $header, $data) == 0;
  },
  cwd => sub { my ($path) = @_; make_path($path, 0755) unless -e $path; chdir($path) },
  chdir => sub { chdir($_[0]) },
  umask => sub { umask(oct $_[0]); 1 },
  env => sub { @env = @_; 1 },
  # descend MODE UID: the rest happens in a child, in the process namespace entered before; this process copies its streams.
  descend => sub { descend(@_); 1 },
  forward => sub { forward(@_); 1 },
  dial => sub { dial(@_); 1 },
  exec => sub { execute(@_) },
);

# What upstream's runtimes say when a command cannot be found; found in the PATH of the container, as its user.
sub find_command {
  my ($name) = @_;
  if ($name =~ m{/}) {
    stat($name) or stop(qq(exec: "$name": stat $name: ) . lcfirst_error());
    stop(qq(exec: "$name": is a directory)) if -d _;
    stop(qq(exec: "$name": permission denied)) unless -x _;
    return $name;
  }
  my ($path) = map { /^PATH=(.*)$/s ? $1 : () } reverse @env;
  for my $directory (split /:/, $path // '') {
    my $file = ($directory eq '' ? '.' : $directory) . "/$name";
    return $file if -f $file && -x _;
  }
  stop(qq(exec: "$name": executable file not found in \$PATH));
}

sub lcfirst_error { my $text = lc substr("$!", 0, 1); return $text . substr("$!", 1); }

# A failing execve is the container's own failure: it has started, says why on its standard error and ends with 255.
sub execute {
  my @argv = @_;
  my $file = find_command($argv[0]);
  $SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT PIPE TERM USR1 USR2 CHLD FPE ALRM TSTP TTIN TTOU CONT);
  my $path = "$file\0";
  my $arguments = pack('p*', @argv) . pack('J', 0);
  my $environment = pack('p*', @env) . pack('J', 0);
  syscall($SYS->{execve}, $path, $arguments, $environment);
  syswrite(STDERR, "exec $file: " . lcfirst_error() . "\n");
  leave(255);
}

sub run {
  my ($file) = @_;
  open(my $handle, '<:raw', $file) or stop("open $file: $!");
  local $/ = undef;
  my $content = <$handle>;
  close $handle;
  carry_out($content);
}

sub carry_out {
  my @fields = split /\0/, $_[0], -1;
  pop @fields;
  umask 022;
  while (@fields) {
    my ($name, $count) = splice(@fields, 0, 2);
    my @arguments = splice(@fields, 0, $count);
    my $action = $DO{$name} or stop("unknown instruction $name");
    next if $action->(@arguments);
    my $shown = $name eq 'env' || $name eq 'exec' ? '' : ' ' . substr(join(' ', grep { defined } @arguments[0 .. ($#arguments < 1 ? $#arguments : 1)]), 0, 300);
    stop("$name$shown: " . lcfirst_error());
  }
}

`;

const mainScript = `
my $mode = shift @ARGV // '';
if ($mode eq 'pause') { pause(@ARGV); } elsif ($mode eq 'run') { run(@ARGV); } elsif ($mode eq 'serve') { serve(@ARGV); } else { stop("unknown mode $mode"); }
leave(0);
`;
