# frozen_string_literal: true

require 'spec_helper'

describe 'netkeel' do
  let(:hiera_config) { File.join(MODULE_ROOT, 'spec/fixtures/hiera.yaml') }

  it 'merges what the fleet and the host say, deep' do
    expect(document(catalogue, '50-hiera.yaml')).to eq(
      'version' => 1,
      'sysctl' => { 'net.core.rmem_max' => 134_217_728, 'net.ipv4.conf.default.rp_filter' => 1 },
      'link' => { 'eth0' => { 'mtu' => 1500 }, 'pods' => { 'match' => { 'name' => 'cali*' }, 'mtu' => 1460, 'rp_filter' => 'strict' } },
    )
  end
end
