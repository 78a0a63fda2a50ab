/**
 * Instructions of the launch program (launch-script.ts) for a pod of a plain user. Nothing can keep its namespaces as files there, so a
 * process holds them: it does nothing else, and the namespaces are what `/proc/PID/ns` of it says. A tool of the machine may connect
 * its network. Both are written down before they begin to work, as `PID START` (the time in /proc/PID/stat), so that they are found
 * again whatever happens.
 */
export const holderScript = String.raw`
my ($holder, $helper, $helper_log);

sub start_of {
  my ($pid) = @_;
  open(my $file, '<', "/proc/$pid/stat") or return 0;
  my $text = <$file>;
  $text =~ s/^.*\) //s;
  return (split / /, $text)[19];
}

# A child that waits until it was written down; in the child it returns 0 and the pipe that says whether it may begin.
sub known_child {
  my ($file, $ready) = @_;
  pipe(my $going, my $go) or return undef;
  my $child = fork() // return undef;
  if ($child == 0) { close $go; return (0, $going); }
  close $going;
  return undef if $ready && !$ready->();
  sysopen(my $list, $file, $O_WRONLY | $O_CREAT | $O_APPEND, 0600) or return undef;
  defined syswrite($list, "$child " . start_of($child) . "\n") or return undef;
  close $list;
  syswrite($go, '+');
  return $child;
}

# hold FILE COMMAND...: the command runs in new user, network and IPC namespaces; this user is root there.
$DO{hold} = sub {
  my ($file, @command) = @_;
  pipe(my $told, my $tell) or return undef;
  my $ready = sub {
    close $tell;
    my $said = '';
    sysread($told, $said, 4096);
    $said eq '+' or stop($said || 'the holder of the namespaces has ended');
  };
  my $going;
  ($holder, $going) = known_child($file, $ready);
  return $holder if $holder || !defined $holder;
  $errors = $tell;
  syscall($SYS->{setsid});
  own_user_namespace($CLONE_NEWNET | $CLONE_NEWIPC);
  syswrite($tell, '+');
  sysread($going, my $word, 1) or leave(1);
  open(STDIN, '<', '/dev/null');
  open(STDOUT, '>', '/dev/null');
  open(STDERR, '>', '/dev/null');
  chdir '/';
  exec { $command[0] } @command or leave(127);
};

# network_helper FILE LOG COMMAND...: a tool that makes a network device in the namespace of the holder; "PID" is the holder's number.
$DO{network_helper} = sub {
  my ($file, $log, @command) = @_;
  $helper_log = $log;
  my $going;
  ($helper, $going) = known_child($file);
  return $helper if $helper || !defined $helper;
  syscall($SYS->{setsid});
  sysread($going, my $word, 1) or leave(1);
  open(STDIN, '<', '/dev/null');
  open(STDOUT, '>', $log);
  open(STDERR, '>&', \*STDOUT);
  @command = map { $_ eq 'PID' ? $holder : $_ } @command;
  exec { $command[0] } @command or leave(127);
};

# What follows happens in the holder's namespaces.
$DO{enter_held} = sub { $DO{enter}->("/proc/$holder/ns/user", $CLONE_NEWUSER) && $DO{enter}->("/proc/$holder/ns/net", $CLONE_NEWNET) };

# wait_for_link NAME: until the helper has made it.
$DO{wait_for_link} = sub {
  my ($name) = @_;
  for (1 .. 2000) {
    return 1 if interface_call(0x8933, $name, '');
    if (waitpid($helper, $WNOHANG) == $helper) {
      open(my $file, '<', $helper_log) or return undef;
      my @lines = <$file>;
      stop(join('; ', map { s/\s+$//r } @lines) || 'the helper has ended');
    }
    select(undef, undef, undef, 0.005);
  }
  $! = 110;
  return undef;
};
`;
