# frozen_string_literal: true

require 'spec_helper'

# The data of the examples, as a site has it.
describe 'netkeel' do
  let(:hiera_config) { File.join(MODULE_ROOT, 'examples/hiera.yaml') }
  let(:facts) { { cluster: cluster } }
  let(:written) { document(catalogue, '50-hiera.yaml') }
  let(:pods) { { 'match' => { 'name' => 'cali*', 'kind' => 'veth' }, 'rp_filter' => 'strict' } }

  context 'on a host of staging' do
    let(:cluster) { 'staging' }

    it 'merges what every host and the cluster say, deep' do
      expect(written['link']).to eq('pods' => { **pods, 'mtu' => 1460 })
      expect(written['cni']).to eq('calico' => { 'plugin' => 'calico', 'mtu' => 1460 })
      expect(written['sysctl']).to eq('net.ipv4.conf.all.rp_filter' => 0, 'net.ipv4.conf.default.rp_filter' => 1)
      expect(written['tunnel'].keys).to eq(%w[ipip0 ipip60])
    end
  end

  context 'on a host of another cluster' do
    let(:cluster) { 'aux' }

    it { expect(written['link']).to eq('pods' => { **pods, 'mtu' => 1500 }) }
    it { expect(written).not_to have_key('cni') }
  end

  context 'with levels that want other things' do
    let(:levels) { Dir.mktmpdir('netkeel-hiera') }
    let(:hiera_config) { File.join(levels, 'hiera.yaml') }
    let(:facts) { {} }
    let(:options) { nil }
    let(:common) do
      {
        'netkeel::sysctl' => { 'net.ipv4.tcp_rmem' => [4096, 131_072, 6_291_456], 'net.ipv4.ip_forward' => 1 },
        'netkeel::nflog' => { 'ptb' => { 'interfaces' => ['veth0'] }, 'other' => { 'interfaces' => ['veth2'] } },
        'netkeel::link' => { 'veth0' => { 'mtu' => 1460, 'up' => true } },
      }
    end
    let(:host) do
      {
        'netkeel::sysctl' => { 'net.ipv4.tcp_rmem' => [4096, 6_291_456, 6_291_456], 'net.ipv4.ip_forward' => nil },
        'netkeel::nflog' => { 'ptb' => { 'interfaces' => ['--veth0', 'veth1'] }, 'other' => '--' },
        'netkeel::link' => { 'veth0' => { 'mtu' => '--' } },
        'netkeel::replicate' => '--',
        'lookup_options' => options,
      }.compact
    end

    before do
      File.write(hiera_config, { 'version' => 5, 'hierarchy' => %w[host common].map { |name| { 'name' => name, 'path' => "#{levels}/#{name}.yaml" } } }.to_yaml)
      File.write(File.join(levels, 'host.yaml'), host.to_yaml)
      File.write(File.join(levels, 'common.yaml'), common.to_yaml)
    end

    after { FileUtils.remove_entry(levels) }

    it 'replaces vectors, and removes what a level knocks out' do
      expect(written).to eq(
        'version' => 1,
        'sysctl' => { 'net.ipv4.tcp_rmem' => [4096, 6_291_456, 6_291_456], 'net.ipv4.ip_forward' => nil },
        'nflog' => { 'ptb' => { 'interfaces' => ['veth1'] } },
        'link' => { 'veth0' => { 'up' => true } },
      )
    end

    context 'and a site that wants another merge' do
      let(:options) { { 'netkeel::nflog' => { 'merge' => 'first' }, 'netkeel::sysctl' => { 'merge' => 'deep' } } }

      it 'merges as the site says' do
        expect(written['nflog']).to eq('ptb' => { 'interfaces' => ['veth1'] })
        expect(written['sysctl']).to eq('net.ipv4.tcp_rmem' => [4096, 131_072, 6_291_456], 'net.ipv4.ip_forward' => 1)
      end
    end
  end
end
