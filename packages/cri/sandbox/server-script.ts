/**
 * The part of the launch program (launch-script.ts) that stays: one process per server which forks on request. Forking from a small
 * process that has read the program already takes a twentieth of the time of starting Perl from the server.
 *
 * Requests on standard input: `MODE ID LENGTH\n` and LENGTH bytes; answers on standard output: `ID STATUS LENGTH\n` and what was said.
 * `run`: the bytes are instructions; answered when the last one is done. `keep`: arguments ended by NUL; answered when the
 * container's command runs, or cannot. The end of the input ends it, not what it started.
 *
 * It holds a lock while it runs, and what it started holds it until it is done or has become something else: a server that follows a
 * killed one begins when nothing of the old one is under way any more.
 */
export const serverScript = String.raw`
sub serve {
  my ($lock_file) = @_;
  my ($input, %jobs, %status) = ('');
  open(my $lock, '>>', $lock_file) or stop("$lock_file: $!");
  # Ten seconds: nothing that is under way takes so long.
  for (1 .. 1000) {
    last if flock($lock, $LOCK_EX | $LOCK_NB);
    select(undef, undef, undef, 0.01);
  }
  # Out of the way of the descriptors that a keeper is given; a program that a child becomes does not hold it.
  fcntl($lock, $F_DUPFD_CLOEXEC, 30) or stop("$lock_file: $!");
  close $lock;
  my $null;
  open($null, '+<', '/dev/null');
  $SIG{CHLD} = sub { };
  for (;;) {
    # Keepers are its children too: buried here.
    while ((my $pid = waitpid(-1, $WNOHANG)) > 0) { $status{$pid} = $? if grep { $_->{pid} == $pid } values %jobs; }
    my $readable = '';
    vec($readable, 0, 1) = 1;
    vec($readable, $_, 1) = 1 for keys %jobs;
    next if select($readable, undef, undef, undef) < 0;
    for my $number (keys %jobs) {
      next unless vec($readable, $number, 1);
      my $job = $jobs{$number};
      my $read = sysread($job->{from}, $job->{text}, 65536, length $job->{text});
      next if $read || (!defined $read && $! == $EINTR);
      my $code = 0;
      if ($job->{mode} eq 'run') {
        if (!exists $status{$job->{pid}}) { 1 while waitpid($job->{pid}, 0) < 0 && $! == $EINTR; $status{$job->{pid}} = $?; }
        my $ended = delete $status{$job->{pid}};
        $code = $ended & 127 ? 128 + ($ended & 127) : $ended >> 8;
      }
      delete $status{$job->{pid}};
      delete $jobs{$number};
      answer("$job->{id} $code " . length($job->{text}) . "\n$job->{text}");
    }
    next unless vec($readable, 0, 1);
    my $read = sysread(STDIN, $input, 1 << 20, length $input);
    leave(0) if defined $read ? $read == 0 : $! != $EINTR;
    while ($input =~ /^(\w+) (\d+) (\d+)\n/ && length($input) >= $+[0] + $3) {
      my ($mode, $id, $content) = ($1, $2, substr($input, $+[0], $3));
      $input = substr($input, $+[0] + $3);
      my $job = begin_job($mode, $content, $null, map { $_->{from} } values %jobs);
      if (ref $job) { $job->{id} = $id; $jobs{fileno $job->{from}} = $job; } else { answer("$id 128 " . length($job) . "\n$job"); }
    }
  }
}

sub answer {
  my ($bytes) = @_;
  while (length $bytes) {
    my $written = syswrite(STDOUT, $bytes);
    if (defined $written) { substr($bytes, 0, $written) = ''; } elsif ($! != $EINTR) { leave(0); }
  }
}

# The child gets nothing of this process but the empty device and the pipe that it answers through.
sub begin_job {
  my ($mode, $content, $null, @others) = @_;
  pipe(my $from, my $to) or return "pipe: $!";
  my $pid = fork() // return "fork: $!";
  if ($pid) {
    close $to;
    return { mode => $mode, pid => $pid, from => $from, text => '' };
  }
  $SIG{CHLD} = 'DEFAULT';
  close $_ for $from, @others;
  syscall($SYS->{setsid});
  my $pipe = fcntl($to, $F_DUPFD, 20);
  close $to;
  my $empty = fcntl($null, $F_DUPFD, 20);
  close $null;
  duplicate($empty, 0);
  duplicate($mode eq 'run' ? $pipe : $empty, $_) for 1, 2;
  duplicate($pipe, 3) if $mode eq 'keep';
  close_descriptor($_) for $pipe, $empty;
  if ($mode eq 'run') { carry_out($content); } else { keep(split /\0/, $content, -1); }
  leave(0);
}

`;
