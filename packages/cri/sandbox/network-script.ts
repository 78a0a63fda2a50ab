/**
 * Instructions of the launch program (launch-script.ts) that make network devices: netlink(7) for virtual links, netdevice(7) for
 * addresses and routes. Done here rather than by iproute2, because starting a tool costs more than what it does.
 */
export const networkScript = String.raw`
my ($RTM_NEWLINK, $RTM_DELLINK, $NLM_CREATE, $NLM_EXCL) = (16, 17, 0x400, 0x200);
my ($IFLA_IFNAME, $IFLA_MASTER, $IFLA_LINKINFO, $IFLA_NET_NS_FD, $INFO_KIND, $INFO_DATA, $VETH_PEER) = (3, 10, 18, 28, 1, 2, 1);
my ($EEXIST_LINK, $ENODEV) = (17, 19);
my $netlink;

sub attribute { my ($type, $value) = @_; return pack('SS', 4 + length $value, $type) . $value . "\0" x (-length($value) % 4); }

# Asks the network namespace in which the socket was opened; true, or undef with $! set.
sub ask_links {
  my ($type, $flags, $up, @attributes) = @_;
  my $body = pack('CxSlLL', 0, 0, 0, $up, $up) . join('', @attributes);
  defined syswrite($netlink, pack('LSSLL', 16 + length $body, $type, $flags | 5, 1, 0) . $body) or return undef;
  defined sysread($netlink, my $answer, 65536) or return undef;
  my $error = unpack('x16 l', $answer);
  $! = -$error;
  return $error == 0 || undef;
}

sub interface_call {
  my ($request, $name, $rest) = @_;
  socket(my $s, 2, 2, 0) or return undef;
  return ioctl($s, $request, my $argument = pack('a16 a64', $name, $rest));
}

sub internet_address { return pack('S n a4 x8', 2, 0, pack('C4', split /\./, $_[0])); }

# netlink: what follows is about the links of the namespace this process is in now, also after it has gone into another one.
$DO{netlink} = sub { socket($netlink, 16, 3, 0) };
$DO{bridge} = sub {
  my ($name) = @_;
  my $kind = attribute($IFLA_LINKINFO, attribute($INFO_KIND, 'bridge'));
  return ask_links($RTM_NEWLINK, $NLM_CREATE | $NLM_EXCL, 0, attribute($IFLA_IFNAME, "$name\0"), $kind) || $! == $EEXIST_LINK;
};
# veth NAME MASTER PEER: a pair whose first end is a port of the bridge with the index MASTER, and whose other end is in this namespace.
$DO{veth} = sub {
  my ($name, $master, $peer) = @_;
  sysopen(my $here, '/proc/self/ns/net', $O_RDONLY) or return undef;
  my $end = pack('x16') . attribute($IFLA_IFNAME, "$peer\0") . attribute($IFLA_NET_NS_FD, pack('L', fileno $here));
  my $kind = attribute($INFO_KIND, 'veth') . attribute($INFO_DATA, attribute($VETH_PEER, $end));
  return ask_links(
    $RTM_NEWLINK, $NLM_CREATE | $NLM_EXCL, 1,
    attribute($IFLA_IFNAME, "$name\0"), attribute($IFLA_MASTER, pack('L', $master)), attribute($IFLA_LINKINFO, $kind),
  );
};
$DO{remove_link} = sub { ask_links($RTM_DELLINK, 0, 0, attribute($IFLA_IFNAME, "$_[0]\0")) || $! == $ENODEV };
$DO{link_up} = sub { interface_call(0x8914, $_[0], pack('S', 0x1 | 0x40)) };
# address NAME ADDRESS MASK
$DO{address} = sub {
  my ($name, $address, $mask) = @_;
  return interface_call(0x8916, $name, internet_address($address)) && interface_call(0x891c, $name, internet_address($mask));
};
$DO{default_route} = sub {
  my ($gateway) = @_;
  socket(my $s, 2, 2, 0) or return undef;
  my $any = internet_address('0.0.0.0');
  return ioctl($s, 0x890B, my $route = pack('x8 a16 a16 a16 S x128', $any, internet_address($gateway), $any, 0x1 | 0x2));
};
`;
