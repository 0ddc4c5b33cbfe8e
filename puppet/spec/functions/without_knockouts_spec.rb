# frozen_string_literal: true

require 'spec_helper'

describe 'netkeel::without_knockouts' do
  it 'drops entries, fields and items' do
    is_expected.to run.with_params(
      {
        'pods' => '', 'vms' => '--',
        'eth0' => { 'mtu' => '', 'rp_filter' => '--', 'alias' => '', 'up' => false },
        'ptb' => { 'interfaces' => ['--veth0', 'veth1'] }
      },
    ).and_return({ 'eth0' => { 'alias' => '', 'up' => false }, 'ptb' => { 'interfaces' => ['veth1'] } })
  end

  it { is_expected.to run.with_params('').and_return(nil) }
  it { is_expected.to run.with_params(nil).and_return(nil) }
end
