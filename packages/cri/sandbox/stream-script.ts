/**
 * The part of the launch program (launch-script.ts) that carries bytes: terminals, the relay of an exec or port-forward session, and
 * the pipes between a container and the files its output goes to.
 */
export const streamScript = String.raw`# Copies between descriptors until every source has ended: [from, to, what to do at the end]. Nothing is read before what was read
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

# A connection to the first of these addresses that takes one; in $! why none did.
sub connection {
  my ($port, @addresses) = @_;
  require Socket;
  for my $address (@addresses) {
    my ($failed, $found) = Socket::getaddrinfo($address, $port, { flags => Socket::AI_NUMERICHOST(), socktype => Socket::SOCK_STREAM() });
    next unless $found;
    socket(my $socket, $found->{family}, Socket::SOCK_STREAM(), 0) or next;
    return $socket if connect($socket, $found->{addr});
  }
  return undef;
}

# Copies between our standard streams and a connection.
sub relay_connection {
  my ($socket) = @_;
  close_descriptor(3);
  $SIG{PIPE} = 'IGNORE';
  relay(sub { 60 }, undef, [\*STDIN, $socket, sub { shutdown($socket, 1) }], [$socket, \*STDOUT, sub { close STDOUT; leave(0) }]);
}

# forward PORT: of the network namespace this process is in, as clients of port-forward expect it.
sub forward {
  my ($port) = @_;
  relay_connection(connection($port, '127.0.0.1', '::1') // stop("failed to connect to localhost:$port inside the pod: " . lcfirst_error()));
}

# dial ADDRESS PORT: says the number of the error when there is no connection.
sub dial {
  my ($address, $port) = @_;
  relay_connection(connection($port, $address) // stop($! + 0));
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

# A plain user is root in a user namespace of its own; FLAGS are the namespaces that are made in it.
sub own_user_namespace {
  my ($flags) = @_;
  my ($uid, $gid) = ($>, $) + 0);
  call('unshare', $CLONE_NEWUSER | $flags) == 0 or stop("user namespaces are not allowed here: $!");
  for (['setgroups', 'deny'], ['uid_map', "0 $uid 1"], ['gid_map', "0 $gid 1"]) {
    $DO{write}->("/proc/self/$_->[0]", $_->[1]) or stop("$_->[0]: $!");
  }
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
  if ($pidNamespace eq 'user') {
    own_user_namespace($CLONE_NEWPID);
  } elsif ($pidNamespace =~ s/^user //) {
    $DO{enter}->($pidNamespace, $CLONE_NEWUSER) or stop("setns $pidNamespace: $!");
    call('unshare', $CLONE_NEWPID) == 0 or stop("unshare: $!");
  } elsif ($pidNamespace eq 'new') {
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
`;
