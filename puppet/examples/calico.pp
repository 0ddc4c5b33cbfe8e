# What the Calico profile of a Kubernetes worker needs for 1460 in staging: the interfaces of the pods that run, both ends,
# and the configuration from which new ones take it. Nothing restarts: running pods are changed in place.
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
