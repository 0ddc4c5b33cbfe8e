# frozen_string_literal: true

require 'spec_helper'

describe 'netkeel::sysctl_key' do
  %w[net.ipv4.ip_forward net/ipv4/ip_forward].each do |key|
    it { is_expected.to run.with_params(key).and_return('net.ipv4.ip_forward') }
  end

  %w[net.ipv4.conf.eth0/100.rp_filter net/ipv4/conf/eth0.100/rp_filter].each do |key|
    it { is_expected.to run.with_params(key).and_return('net/ipv4/conf/eth0.100/rp_filter') }
  end

  it { is_expected.to run.with_params('').and_raise_error(ArgumentError) }
end
