# frozen_string_literal: true

require 'spec_helper'

# What each define writes, and what it refuses.
{
  'netkeel::link' => {
    title: 'pods', named: :interface, file: '60-link-pods.yaml', refused: { mtu: 10 },
    params: { match: { 'name' => 'cali*', 'kind' => 'veth' }, mtu: 1460, pod_mtu: 'same', rp_filter: 'strict', up: true, txqueuelen: 1000, alias_text: 'pods', allow_ipv6_loss: 'no' },
    says: { 'link' => { 'pods' => { 'match' => { 'name' => 'cali*', 'kind' => 'veth' }, 'mtu' => 1460, 'pod_mtu' => 'same', 'rp_filter' => 'strict', 'up' => true, 'txqueuelen' => 1000, 'alias' => 'pods', 'allow_ipv6_loss' => 'no' } } }
  },
  'netkeel::tunnel' => {
    title: 'ipip0', named: :interface, file: '60-tunnel-ipip0.yaml', refused: { mode: 'gre' },
    params: { mode: 'ipip', addresses: ['127.0.0.42/32'], rp_filter: 'off', force: false },
    says: { 'tunnel' => { 'ipip0' => { 'mode' => 'ipip', 'addresses' => ['127.0.0.42/32'], 'rp_filter' => 'off', 'force' => false } } }
  },
  'netkeel::sysctl' => {
    title: 'net/ipv4/conf/eth0.100/rp_filter', named: :key, file: '60-sysctl-net_ipv4_conf_eth0.100_rp_filter.yaml', refused: { value: {} },
    params: { value: 0 },
    says: { 'sysctl' => { 'net/ipv4/conf/eth0.100/rp_filter' => 0 } }
  },
  'netkeel::nflog' => {
    title: 'packet-too-big', named: :label, file: '60-nflog-packet-too-big.yaml', refused: { interfaces: [] },
    params: { interfaces: ['eth0'], group: 33, prefilter: { 'rate' => 100 } },
    says: { 'nflog' => { 'packet-too-big' => { 'interfaces' => ['eth0'], 'group' => 33, 'prefilter' => { 'rate' => 100 } } } }
  },
  'netkeel::cni' => {
    title: 'calico', named: :label, file: '60-cni-calico.yaml', refused: { mtu: 'large' },
    params: { plugin: 'calico', mtu: { 'underlay' => { 'probe' => '192.0.2.1' }, 'layers' => %w[ipip] } },
    says: { 'cni' => { 'calico' => { 'plugin' => 'calico', 'mtu' => { 'underlay' => { 'probe' => '192.0.2.1' }, 'layers' => %w[ipip] } } } }
  },
  'netkeel::document' => {
    title: 'load balancer', named: :label, document: 'load balancer', file: '70-load_balancer.yaml', refused: { content: [] },
    params: { content: { 'sysctl' => { 'net.ipv4.conf.all.rp_filter' => :undef } } },
    says: { 'sysctl' => { 'net.ipv4.conf.all.rp_filter' => nil } }
  },
}.each do |define, its|
  describe define do
    let(:title) { its[:title] }
    let(:params) { its[:params] }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to contain_class('netkeel') }
    it { is_expected.to contain_netkeel__document(its[:document] || "#{define.delete_prefix('netkeel::')}-#{its[:title]}") }
    it { expect(document(catalogue, its[:file])).to eq(its[:says].merge('version' => 1)) }
    it { is_expected.to contain_file("/etc/netkeel/desired.d/#{its[:file]}").that_comes_before('Netkeel_host[default]') }

    context 'with another order' do
      let(:params) { its[:params].merge(order: 80) }

      it { is_expected.to contain_file("/etc/netkeel/desired.d/#{its[:file].sub(/^\d+/, '80')}") }
    end

    context 'with a title of another kind' do
      let(:title) { 'something that a profile needs' }
      let(:params) { its[:params].merge(its[:named] => its[:title]) }

      it { expect(document(catalogue, its[:file])).to eq(its[:says].merge('version' => 1)) }

      context 'beside another one for the same' do
        let(:pre_condition) do
          manifest = its[:params].merge(its[:named] => its[:title]).map do |name, value|
            "#{name} => #{RSpec::Puppet::Support.instance_method(:str_from_value).bind_call(self, value)}"
          end
          "#{define} { 'the first': #{manifest.join(', ')} }"
        end

        it { is_expected.to compile.and_raise_error(/Duplicate declaration/) }
      end
    end

    context 'that is to be absent' do
      let(:params) { { ensure: 'absent' } }

      it { is_expected.to compile.with_all_deps }
      it { is_expected.to contain_file("/etc/netkeel/desired.d/#{its[:file]}").with_ensure('absent').without_content }

      context 'with execs' do
        let(:pre_condition) { "class { 'netkeel': converge => 'exec' }" }

        it { is_expected.to contain_file("/var/cache/netkeel-candidate.d/#{its[:file]}").with_ensure('absent') }
      end
    end

    context 'without any settings' do
      let(:title) { 'something that a profile needs' }
      let(:params) { {} }

      it { is_expected.to compile.and_raise_error(/needs the parameter|parameter 'interface' expects/) }
    end

    context 'with what is none of its values' do
      let(:params) { its[:params].merge(its[:refused]) }

      it { is_expected.to compile.and_raise_error(/parameter '#{its[:refused].keys.first}'/) }
    end

    context 'with execs' do
      let(:pre_condition) { "class { 'netkeel': converge => 'exec' }" }

      it { is_expected.to contain_file("/var/cache/netkeel-candidate.d/#{its[:file]}").that_comes_before('Exec[netkeel plan]') }
      it { is_expected.to contain_file("/etc/netkeel/desired.d/#{its[:file]}").that_comes_before('Exec[netkeel apply]') }
    end
  end
end

describe 'netkeel::sysctl' do
  let(:title) { 'net/ipv4/ip_forward' }
  let(:params) { { value: 1 } }

  context 'beside another spelling of its key' do
    let(:pre_condition) { "netkeel::sysctl { 'net.ipv4.ip_forward': value => 0, order => 80 }" }

    it { is_expected.to compile.and_raise_error(/Duplicate declaration: Netkeel::Document\[sysctl-net.ipv4.ip_forward\]/) }
  end

  context 'beside another name of its variable' do
    let(:pre_condition) { "netkeel::sysctl { 'net.ipv4.conf.all.forwarding': value => 0 }" }

    it { is_expected.to compile.and_raise_error(/Duplicate declaration: Netkeel::Document\[sysctl-net.ipv4.ip_forward\]/) }
  end
end
