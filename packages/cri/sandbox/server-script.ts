/**
 * The part of the launch program (launch-script.ts) that stays: one process per server which forks on request. Forking from a small
 * process that has read the program already takes a twentieth of the time of starting Perl from the server.
 *
 * Requests on standard input: `MODE ID LENGTH\n` and LENGTH bytes; answers on standard output: `ID STATUS LENGTH...\n` and what was said.
 * `run`: the bytes are instructions; answered when the last one is done. `exec`: those of a command's session (`descend`); answered when
 * it has ended, with why it could not start, its output and its error output. `kill`: ends the session with that ID. `keep`: arguments
 * ended by NUL; answered when the container's command runs, or cannot. The end of the input ends it and sessions, nothing else of what
 * it started.
 *
 * It holds a lock while it runs, and what it started holds it until it is done or has become something else: a server that follows a
 * killed one begins when nothing of the old one is under way any more.
 */
export const serverScript = String.raw`
my ($lock_descriptor, $most_output) = (undef, 1 << 24);

sub serve {
  my ($lock_file) = @_;
  # Jobs have sources, by descriptor: what of them is read. Running are their processes, with their IDs.
  my ($input, %sources, %running, %status) = ('');
  open(my $lock, '>>', $lock_file) or stop("$lock_file: $!");
  # Ten seconds: nothing that is under way takes so long.
  for (1 .. 1000) {
    last if flock($lock, $LOCK_EX | $LOCK_NB);
    select(undef, undef, undef, 0.01);
  }
  # Out of the way of the descriptors that a keeper is given; a program that a child becomes does not hold it.
  $lock_descriptor = fcntl($lock, $F_DUPFD_CLOEXEC, 30) or stop("$lock_file: $!");
  close $lock;
  my $null;
  open($null, '+<', '/dev/null');
  $SIG{CHLD} = sub { };
  for (;;) {
    # Keepers are its children too: buried here.
    while ((my $pid = waitpid(-1, $WNOHANG)) > 0) { $status{$pid} = $? if exists $running{$pid}; }
    my $readable = '';
    vec($readable, 0, 1) = 1;
    vec($readable, $_, 1) = 1 for keys %sources;
    next if select($readable, undef, undef, undef) < 0;
    for my $number (keys %sources) {
      next unless vec($readable, $number, 1);
      my $source = $sources{$number};
      my $read = sysread($source->{from}, my $bytes, 65536);
      if ($read) {
        $source->{text} .= substr($bytes, 0, $most_output - length $source->{text});
        next;
      }
      next if !defined $read && $! == $EINTR;
      delete $sources{$number};
      my $job = $source->{job};
      next if --$job->{open};
      my ($pid, $code) = ($job->{pid}, 0);
      if ($job->{mode} ne 'keep') {
        if (!exists $status{$pid}) { 1 while waitpid($pid, 0) < 0 && $! == $EINTR; $status{$pid} = $?; }
        $code = $status{$pid} & 127 ? 128 + ($status{$pid} & 127) : $status{$pid} >> 8;
      }
      delete $status{$pid};
      delete $running{$pid};
      my @texts = map { $_->{text} } @{delete $job->{sources}};
      answer("$job->{id} $code " . join(' ', map { length } @texts) . "\n" . join('', @texts));
    }
    next unless vec($readable, 0, 1);
    my $read = sysread(STDIN, $input, 1 << 20, length $input);
    leave(0) if defined $read ? $read == 0 : $! != $EINTR;
    while ($input =~ /^(\w+) (\d+) (\d+)\n/ && length($input) >= $+[0] + $3) {
      my ($mode, $id, $content) = ($1, $2, substr($input, $+[0], $3));
      $input = substr($input, $+[0] + $3);
      if ($mode eq 'kill') {
        kill 'TERM', grep { $running{$_} == $id && !exists $status{$_} } keys %running;
        next;
      }
      my $job = begin_job($mode, $content, $null, map { $_->{from} } values %sources);
      if (!ref $job) { answer("$id 128 " . length($job) . "\n$job"); next; }
      $job->{id} = $id;
      $running{$job->{pid}} = $id;
      $sources{fileno $_->{from}} = $_ for @{$job->{sources}};
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

# The child gets nothing of this process but the empty device and the pipes that it answers through.
sub begin_job {
  my ($mode, $content, $null, @others) = @_;
  my @pipes;
  for (1 .. ($mode eq 'exec' ? 3 : 1)) {
    pipe(my $from, my $to) or return "pipe: $!";
    push @pipes, [$from, $to];
  }
  my $pid = fork() // return "fork: $!";
  if ($pid) {
    my $job = { mode => $mode, pid => $pid, open => scalar @pipes };
    $job->{sources} = [map +{ job => $job, from => $_->[0], text => '' }, @pipes];
    return $job;
  }
  $SIG{CHLD} = 'DEFAULT';
  close $_ for @others, map { $_->[0] } @pipes;
  syscall($SYS->{setsid});
  my ($pipe, @outputs) = map { fcntl($_->[1], $F_DUPFD, 20) } @pipes;
  close $_->[1] for @pipes;
  my $empty = fcntl($null, $F_DUPFD, 20);
  close $null;
  @outputs = $mode eq 'run' ? ($pipe, $pipe) : ($empty, $empty) unless @outputs;
  duplicate($empty, 0);
  duplicate($outputs[$_ - 1], $_) for 1, 2;
  duplicate($pipe, 3) if $mode ne 'run';
  close_descriptor($_) for $pipe, $empty, @outputs;
  # A session lasts as long as its command: nobody waits for it, and it ends with this process.
  if ($mode eq 'exec') { close_descriptor($lock_descriptor); syscall($SYS->{prctl}, $PR_SET_PDEATHSIG, 15, 0, 0, 0); }
  if ($mode eq 'keep') { keep(split /\0/, $content, -1); } else { carry_out($content); }
  leave(0);
}

`;
