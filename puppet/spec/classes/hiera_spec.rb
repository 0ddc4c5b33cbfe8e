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
end
