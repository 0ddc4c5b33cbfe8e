# frozen_string_literal: true

require 'spec_helper'

budget = { 'underlay' => 'default-route', 'layers' => %w[wireguard], 'margin' => '20', 'floor' => 1280 }

# What each type of data takes, and what it refuses.
{
  'Netkeel::Absolute_path' => [['/usr/bin/netkeel', '/a.b_c+d-e'], ['', '/', 'bin', '/a b', '/a/', '/a;b', "/a\n"]],
  'Netkeel::Budget' => [[budget, { 'underlay' => 1500 }, { 'underlay' => { 'probe' => '192.0.2.1' } }],
                        [{}, { 'layers' => [] }, { 'underlay' => 10 }, budget.merge('overhead' => 1), { 'underlay' => { 'probe' => '' } }]],
  'Netkeel::Bytes' => [[68, 65_535, '1460'], [67, 65_536, '0x5b4', '', 'large', 1460.5]],
  'Netkeel::Decimal' => [%w[0 1460 -1], ['', '007', '1e3', '1_000', ' 1', "1\n", 1]],
  'Netkeel::Any_name' => [['eth0', 'enx0123456789abcdef', 'a' * 127], ['', '..', 'a/b', 'a b', 'a:1', 'a' * 128, "eth0\n"]],
  'Netkeel::Interface' => [%w[eth0 eth0.100 ipip0 e[0] a-name-of-15-by], ['', '.', '..', 'a/b', 'a b', 'a:1', 'a-name-of-16-byt', "eth0\n"]],
  'Netkeel::Knocked_out' => [['', '--', '--veth0'], ['-', 'veth0', 5, nil]],
  'Netkeel::Match' => [[{ 'name' => 'cali*' }, { 'kind' => 'veth', 'driver' => 'veth' }, { 'vlan' => 42, 'lower' => { 'mac' => '02:*' } }],
                       [{ 'name' => '' }, { 'vlan' => 4095 }, { 'mtu' => 1500 }, 'cali*']],
  'Netkeel::Mtu' => [[1460, '1460', budget], [67, 'auto', {}]],
  'Netkeel::Network' => [%w[192.0.2.0/24 2001:db8::/32 192.0.2.1], ['', 'eth0', '192.0.2.0/', '192.0.2.0/1234', 'localhost']],
  'Netkeel::Owner' => [%w[default puppet site-1], ['', '-a', 'Puppet', 'a b', "a\n"]],
  'Netkeel::Prefilter' => [[{}, { 'min_mtu' => 576, 'min_mtu_ipv6' => 1280, 'max_mtu' => 1500, 'rate' => 100, 'burst' => 20 }], [{ 'rate' => 0 }, { 'min' => 1 }]],
  'Netkeel::Rate' => [[{}, { 'per_second' => 10, 'burst' => 20 }], [{ 'per_second' => 0 }, { 'burst' => '20' }, { 'per_minute' => 1 }]],
  'Netkeel::Rp_filter' => [['off', 'strict', 'loose', '0', '2', 0, 2, false, true], ['on', 3, -1, '', 'Strict']],
  'Netkeel::Switch' => [[true, false, 'yes', 'off'], ['', 'y', 'TRUE', 1]],
  'Netkeel::Kind::Cni' => [[{ 'plugin' => 'calico', 'mtu' => 1460 }, { 'plugin' => 'x', 'mtu' => budget, 'file' => '/etc/cni/net.d/x.conflist' }],
                           [{ 'mtu' => 1460 }, { 'plugin' => 'calico' }, { 'plugin' => 'x', 'mtu' => 1460, 'file' => 'x.conflist' }]],
  'Netkeel::Kind::Limits' => [[{}, { 'changes_per_minute' => 10, 'max_matches' => 100 }], [{ 'max_matches' => 0 }, { 'max' => 1 }]],
  'Netkeel::Kind::Link' => [[{}, { 'mtu' => '', 'rp_filter' => '--' }, { 'mtu' => nil }, { 'match' => { 'name' => 'cali*' }, 'mtu' => 1460, 'pod_mtu' => 'leave', 'rp_filter' => 'strict', 'up' => true, 'txqueuelen' => 0, 'alias' => '', 'allow_ipv6_loss' => 'no' }],
                            [{ 'mtuu' => 1460 }, { 'pod_mtu' => 'keep' }, { 'txqueuelen' => -1 }, { 'up' => 1 }]],
  'Netkeel::Kind::Nflog' => [[{ 'interfaces' => %w[default-route eth*] }, { 'interfaces' => %w[--a-name-of-15-by eth0], 'ignore_sources' => ['--192.0.2.0/24'], 'group' => '' }, { 'interfaces' => %w[eth0 eth1], 'group' => '33', 'ignore_sources' => ['192.0.2.0/24'], 'snaplen' => 128, 'queue_threshold' => 1, 'prefilter' => {}, 'remove_on_stop' => true, 'adopt' => false }],
                             [{}, { 'interfaces' => [] }, { 'interfaces' => ['eth0'], 'group' => 65_536 }, { 'interfaces' => 'eth0' }]],
  'Netkeel::Kind::Probe' => [[{ 'path_mtu' => '192.0.2.1' }, { 'path_mtu' => '192.0.2.1', 'protocol' => 'tcp', 'port' => '443', 'expect' => 1460 }, { 'ipip' => '192.0.2.1', 'service' => '203.0.113.9', 'port' => 80, 'expect' => '--' }, { 'replicate' => '203.0.113.9', 'nodes' => ['192.0.2.1', '--192.0.2.2'] }],
                             [{ 'path_mtu' => 'localhost' }, { 'protocol' => 'sctp' }, { 'port' => 0 }, { 'target' => '192.0.2.1' }, { 'nodes' => '192.0.2.1' }]],
  'Netkeel::Kind::Replicate' => [[{ 'nflog' => 'x', 'peers' => ['192.0.2.2'] }, { 'nflog' => 'x', 'peers' => { 'endpoints' => { 'service' => 'netkeel/netkeel', 'families' => ['ipv4'] } } }, { 'nflog' => 'x', 'peers' => { 'nodes' => { 'selector' => { 'a' => '' }, 'not_ready' => 'drop' } } }, { 'nflog' => 'x', 'peers_file' => '/run/peers', 'mode' => 'ipip', 'interface' => 'eth0', 'ttl' => 2, 'floor' => { 'ipv4' => 0 }, 'flows_to_nodes' => true, 'limits' => { 'copies' => { 'burst' => 1 }, 'repeat_after' => '1s' }, 'dry_run' => true }],
                                 [{}, { 'nflog' => 'x', 'peers' => { 'endpoints' => { 'service' => 'netkeel' } } }, { 'nflog' => 'x', 'mode' => 'multicast' }, { 'nflog' => 'x', 'ttl' => 1 }, { 'nflog' => 'x', 'limits' => { 'all' => {} } }]],
  'Netkeel::Kind::Route' => [[{ 'mtu' => 1400 }, { 'family' => 'ipv6', 'table' => 'main', 'metric' => '100', 'mtu' => '1280', 'advmss' => 1220, 'window' => 65_535 }],
                             [{ 'mtu' => 67 }, { 'table' => 0 }, { 'table' => 'mian' }, { 'via' => '192.0.2.1' }]],
  'Netkeel::Kind::Sysctl' => [[0, true, '4096 131072 6291456', [4096, '131072', 6_291_456]], [[], {}, [[1]], 1.5, nil]],
  'Netkeel::Kind::Tunnel' => [[{ 'mode' => 'ipip' }, { 'mode' => 'ip6tnl', 'addresses' => ['127.0.0.42/32'], 'mtu' => 1480, 'rp_filter' => 'off', 'up' => true, 'force' => false }],
                              [{}, { 'mode' => 'gre' }, { 'mode' => 'ipip', 'addresses' => '127.0.0.42/32' }]],
  'Netkeel::Kind::Wireguard' => [[{ 'source' => '/etc/wireguard/wg0.conf', 'target' => '/run/wg0.conf', 'mtu' => budget }],
                                 [{ 'source' => '/etc/wireguard/wg0.conf', 'mtu' => 1420 }, { 'source' => 'wg0.conf', 'target' => '/run/wg0.conf', 'mtu' => 1420 }]],
}.each do |name, (takes, refuses)|
  # Not by a catalog for each value, which takes its time.
  describe name do
    def fitting(type, values)
      site = Puppet::Node::Environment.create(:specs, [MODULE_PATH])
      loaders = Puppet::Pops::Loaders.new(site)
      Puppet.override(current_environment: site, loaders: loaders) do
        parsed = Puppet::Pops::Types::TypeParser.singleton.parse(type, loaders.private_environment_loader)
        values.select { |value| parsed.instance?(value) }
      end
    end

    it { expect(fitting(name, takes)).to eq(takes) }
    it { expect(fitting(name, refuses)).to eq([]) }
  end
end
