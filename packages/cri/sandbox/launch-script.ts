/**
 * The program that turns a fresh process into a container. It is Perl because the set-up needs system calls that no util-linux
 * tool offers together (bind mounts that survive pivot_root, environment names that are no shell identifiers), because
 * perl-base is part of every Debian system, and because it replaces itself by the container's command: nothing of it stays in
 * memory. It knows no policy: `launch-plan.ts` decides, this file carries out instructions from top to bottom and stops at the
 * first that fails, with a message that names it.
 *
 * Modes: `keep DIR FLAGS…` makes the pipes of a container and becomes its keeper (see keeper-script.ts); `run FILE` carries out
 * the instructions of FILE. Program files are fields ended by NUL: name, number of arguments, arguments.
 */
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
  const numbers = systemCalls[arch];
  if (!numbers) return undefined;
  const table = Object.entries(numbers).map(([name, number]) => `${name} => ${number}`);
  return `my $SYS = { ${table.join(', ')} };\n${script}`;
}

// No modules, not even POSIX: loading them takes four times as long as making a container.
const script = String.raw`use strict;

my ($OPEN_TREE, $MOVE_MOUNT, $MOUNT_SETATTR) = (428, 429, 442);
my ($AT_FDCWD, $AT_EMPTY_PATH, $AT_RECURSIVE, $OPEN_TREE_CLONE, $CLOEXEC) = (-100, 0x1000, 0x8000, 1, 0x80000);
my $CLONE_NEWPID = 0x20000000;
my $PR_SET_PDEATHSIG = 1;
my ($O_RDONLY, $O_WRONLY, $O_RDWR, $O_CREAT, $O_NOCTTY, $O_APPEND, $O_NONBLOCK) = (0, 1, 2, 0100, 0400, 02000, 04000);
my ($F_DUPFD, $F_SETFD, $F_GETFL, $F_SETFL, $F_DUPFD_CLOEXEC, $FD_CLOEXEC, $WNOHANG) = (0, 2, 3, 4, 1030, 1, 1);
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
  # attach NAME PATH ATTRIBUTES PROPAGATION
  attach => sub {
    my ($name, $path, $set, $propagation) = @_;
    my $from = $tree{$name};
    set_attributes($from->{descriptor}, $set & 1, 0, 0) == 0 or return undef;
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
  # bounding CAPABILITY…: takes these away for good.
  bounding => sub { for my $c (@_) { my $r = syscall($SYS->{prctl}, 24, $c + 0, 0, 0, 0); return undef if $r != 0 && $! != $EINVAL; } 1 },
  no_new_privileges => sub { syscall($SYS->{prctl}, 38, 1, 0, 0, 0) == 0 },
  filter => sub {
    my ($code) = @_;
    my $bytes = pack('H*', $code);
    my $program = pack('S x![P] P', length($bytes) / 8, $bytes);
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
  loopback => sub {
    require Socket;
    socket(my $s, Socket::AF_INET(), Socket::SOCK_DGRAM(), 0) or return undef;
    my $request = pack('a16 s x22', 'lo', 0x1 | 0x40);
    return ioctl($s, 0x8914, $request);
  },
  # system FILE ARGUMENT…: a tool of the machine, before the root changes.
  system => sub { my $code = system { $_[0] } @_; $! = 0; return $code == 0 },
  # descend MODE UID: the rest happens in a child, in the process namespace entered before; this process copies its streams.
  descend => sub { descend(@_); 1 },
  forward => sub { forward(@_); 1 },
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

# Copies between descriptors until every source has ended: [from, to, what to do at the end]. Nothing is read before what was read
# earlier could be written, so memory stays bounded. WHILE is asked between two turns and ends the copying by returning false.
sub relay {
  my ($while, $control, @pairs) = @_;
  for my $pair (@pairs) { $pair->[3] = ''; fcntl($pair->[1], $F_SETFL, $O_NONBLOCK | fcntl($pair->[1], $F_GETFL, 0)); }
  my $lines = '';
  while (grep { defined $_->[0] } @pairs) {
    my $wait = $while->() // last;
    my ($readable, $writable) = ('', '');
    for my $pair (@pairs) {
      if (length $pair->[3]) { vec($writable, fileno($pair->[1]), 1) = 1; } elsif (defined $pair->[0]) { vec($readable, fileno($pair->[0]), 1) = 1; }
    }
    vec($readable, fileno($control), 1) = 1 if $control;
    next if select($readable, $writable, undef, $wait) < 0;
    if ($control && vec($readable, fileno($control), 1)) {
      if (sysread($control, $lines, 4096, length $lines)) {
        while ($lines =~ s/^(\d+) (\d+)\n//) { my $size = pack('S4', $1, $2, 0, 0); ioctl($pairs[0][1], 0x5414, $size); }
      } else { $control = undef; }
    }
    for my $pair (@pairs) {
      my ($from, $to, $end) = @$pair;
      if (length $pair->[3]) {
        next unless vec($writable, fileno($to), 1);
        my $written = syswrite($to, $pair->[3]);
        if (defined $written) { substr($pair->[3], 0, $written) = ''; } elsif ($! != $EAGAIN && $! != $EINTR) { $pair->[3] = ''; $pair->[0] = undef; }
      } elsif (defined $from && vec($readable, fileno($from), 1)) {
        my $read = sysread($from, $pair->[3], 65536);
        if (!$read && (defined $read || ($! != $EAGAIN && $! != $EINTR))) { $pair->[3] = ''; $pair->[0] = undef; $end->() if $end; }
      }
    }
  }
}

# The session of an exec: the child goes on with the instructions, this process copies its streams and ends as it ends. Streams are
# pipes or a terminal of the container's own, because a command may open /dev/stdout, which a socket does not allow.
sub descend {
  my ($mode, $owner) = @_;
  my (@pairs, @childs, $control);
  if ($mode eq 'terminal') {
    my ($master, $slave, $path) = open_terminal('/dev/pts/ptmx', '/dev/pts');
    chown($owner, -1, $path);
    @childs = ($slave, $slave, $slave);
    @pairs = ([\*STDIN, $master], [$master, \*STDOUT]);
    open($control, '<&=', 4) or stop("control: $!");
  } else {
    pipe(my $in, my $toChild) or stop("pipe: $!");
    pipe(my $fromOut, my $out) or stop("pipe: $!");
    pipe(my $fromErr, my $err) or stop("pipe: $!");
    chown($owner, -1, $in, $out, $err);
    @childs = ($in, $out, $err);
    @pairs = ([\*STDIN, $toChild, sub { close $toChild }], [$fromOut, \*STDOUT], [$fromErr, \*STDERR]);
  }
  my $child = fork() // stop("fork: $!");
  if ($child == 0) {
    syscall($SYS->{setsid});
    duplicate(fileno($childs[$_]), $_) for 0 .. 2;
    ioctl($childs[0], 0x540E, 0) if $mode eq 'terminal';
    @pairs = @childs = ();
    close_descriptor($_) for 4 .. 40;
    syscall($SYS->{prctl}, $PR_SET_PDEATHSIG, 9, 0, 0, 0);
    return;
  }
  @childs = ();
  $errors = undef;
  $SIG{PIPE} = 'IGNORE';
  $SIG{CHLD} = sub { };
  $SIG{$_} = sub { kill 'KILL', -$child, $child; } for qw(TERM INT HUP);
  my ($status, $last);
  relay(sub {
    if (!defined $status) { $status = $? if waitpid($child, $WNOHANG) == $child; }
    return 0.5 unless defined $status;
    # Whoever else holds the output may keep it for long: what is there already is copied, then the session ends.
    $pairs[0][0] = undef;
    $last //= time + 1;
    return time > $last ? undef : 0.2;
  }, $control, @pairs);
  if (!defined $status) { 1 while waitpid($child, 0) != $child; $status = $?; }
  leave($status & 127 ? 128 + ($status & 127) : $status >> 8);
}

# Copies between our standard streams and a port of the network namespace this process is in.
sub forward {
  my ($port) = @_;
  require Socket;
  my ($socket, $connected);
  for my $address ('127.0.0.1', '::1') {
    my ($failed, $found) = Socket::getaddrinfo($address, $port, { flags => Socket::AI_NUMERICHOST(), socktype => Socket::SOCK_STREAM() });
    next unless $found;
    socket($socket, $found->{family}, Socket::SOCK_STREAM(), 0) or next;
    if (connect($socket, $found->{addr})) { $connected = 1; last; }
  }
  stop("failed to connect to localhost:$port inside the pod: " . lcfirst_error()) unless $connected;
  close_descriptor(3);
  $SIG{PIPE} = 'IGNORE';
  relay(sub { 60 }, undef, [\*STDIN, $socket, sub { shutdown($socket, 1) }], [$socket, \*STDOUT, sub { close STDOUT; leave(0) }]);
}

sub run {
  my ($file) = @_;
  open(my $handle, '<:raw', $file) or stop("open $file: $!");
  local $/ = undef;
  my @fields = split /\0/, scalar(<$handle>), -1;
  close $handle;
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

# A process that copies everything to a file of that name, or to another descriptor; it holds the end of $copying until it is done.
sub copy {
  my ($from, $to, $copying) = @_;
  my $child = fork() // stop("fork: $!");
  return if $child;
  my $file = ref $to ? $to : undef;
  if (!$file) { sysopen($file, $to, $O_WRONLY | $O_CREAT | $O_APPEND, 0600) or leave(1); }
  # High numbers first, so that no descriptor is overwritten before it was copied.
  my @high = map { fcntl($_, $F_DUPFD, 50) } ($from, $file, $copying);
  duplicate($high[0], 0);
  duplicate($high[1], 1);
  open(STDERR, '>', '/dev/null');
  close_descriptor($_) for 3 .. 49;
  duplicate($high[2], 5) unless ref $to;
  close_descriptor($_) for 50 .. 120;
  chdir '/';
  exec { 'cat' } 'cat' or leave(1);
}

# Both ends of a new terminal.
sub open_terminal {
  my ($multiplexer, $directory) = @_;
  sysopen(my $master, $multiplexer, $O_RDWR | $O_NOCTTY) or stop("$multiplexer: $!");
  my ($unlocked, $number) = ("\0\0\0\0", "\0\0\0\0");
  ioctl($master, 0x40045431, $unlocked) or stop("unlock terminal: $!");
  ioctl($master, 0x80045430, $number) or stop("number of the terminal: $!");
  my $path = "$directory/" . unpack('i', $number);
  sysopen(my $slave, $path, $O_RDWR | $O_NOCTTY) or stop("$path: $!");
  return ($master, $slave, $path);
}

# keep: numbered as the descriptors the keeper gets. 0 to 2 the container's, 3 closes when the command runs, 4 holds standard
# input open, 5 ends when both copies of the output are complete.
sub keep {
  my ($directory, $flags, $pidNamespace, @keeper) = @_;
  chdir($directory) or stop("chdir $directory: $!");
  sysopen($errors, 'start-error', $O_WRONLY | $O_CREAT | $O_APPEND, 0600) or stop("start-error: $!");
  open($errors, ">>&=", fcntl($errors, $F_DUPFD_CLOEXEC, 100)) or stop("start-error: $!");
  $^F = 1000;
  open(my $held, '<', '/dev/null') or stop("/dev/null: $!");
  open(my $input, '<', '/dev/null') or stop("/dev/null: $!");
  if ($flags =~ /i/) {
    -p 'stdin' or make_fifo('stdin') or stop("stdin: $!");
    sysopen($held, 'stdin', $O_RDWR) or stop("stdin: $!");
    sysopen($input, 'stdin', $O_RDONLY) or stop("stdin: $!");
  }
  pipe(my $ended, my $copying) or stop("pipe: $!");
  my @outputs;
  if ($flags =~ /t/) {
    my ($master, $slave) = open_terminal('/dev/ptmx', '/dev/pts');
    copy($master, 'stdout', $copying);
    copy($input, $master, $copying) if $flags =~ /i/;
    ($input, @outputs) = ($slave, $slave, $slave);
  } else {
    for my $name ('stdout', 'stderr') {
      pipe(my $from, my $to) or stop("pipe: $!");
      copy($from, $name, $copying);
      push @outputs, $to;
    }
  }
  close $copying;
  my @wanted = ($input, $outputs[0], $outputs[1], undef, $held, $ended);
  my @high = map { defined $_ ? fcntl($_, $F_DUPFD, 50) : undef } @wanted;
  for my $number (0, 1, 2, 4, 5) { duplicate($high[$number], $number); }
  close_descriptor($_) for 6 .. 80;
  if ($pidNamespace eq 'new') {
    call('unshare', $CLONE_NEWPID) == 0 or stop("unshare: $!");
  } elsif ($pidNamespace ne 'host') {
    $DO{enter}->($pidNamespace, $CLONE_NEWPID) or stop("setns $pidNamespace: $!");
  }
  exec { $keeper[0] } @keeper or stop("exec $keeper[0]: $!");
}

# pause: the first process of a process namespace that the containers of a pod share; FILE becomes a name of the namespace.
sub pause {
  my ($file, @command) = @_;
  call('unshare', $CLONE_NEWPID) == 0 or stop("unshare: $!");
  my $child = fork() // stop("fork: $!");
  if ($child == 0) {
    syscall($SYS->{setsid});
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>', '/dev/null');
    open(STDERR, '>', '/dev/null');
    exec { $command[0] } @command or leave(127);
  }
  mount_at("/proc/$child/ns/pid", $file, 'none', 4096, '') == 0 or stop("$file: $!");
  syswrite(STDOUT, "$child\n");
}

my $mode = shift @ARGV // '';
if ($mode eq 'keep') { keep(@ARGV); } elsif ($mode eq 'pause') { pause(@ARGV); } elsif ($mode eq 'run') { run(@ARGV); } else { stop("unknown mode $mode"); }
leave(0);
`;
