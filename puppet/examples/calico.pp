# The Calico profile of a Kubernetes worker, for an MTU of 1460 in staging. It changes both ends of running pods' veths in
# place, and the CNI configuration of new pods. Nothing restarts.
class profile::calico::kubernetes (
  Netkeel::Mtu $mtu = 1460,
) {
  include netkeel

  netkeel::link { 'pods':
    match     => { 'name' => 'cali*', 'kind' => 'veth' },
    mtu       => $mtu,
    rp_filter => 'strict',
  }
  netkeel::cni { 'calico':
    plugin => 'calico',
    mtu    => $mtu,
  }
}

include profile::calico::kubernetes
