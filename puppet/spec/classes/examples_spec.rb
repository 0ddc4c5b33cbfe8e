# frozen_string_literal: true

require 'spec_helper'

# The examples, as they stand, and what they declare.
describe 'netkeel' do
  # All that the documents of the catalog say, laid over one another by their names.
  def declared
    texts.sort_by(&:title).map { |file| YAML.safe_load(file[:content]) }.reduce { |below, above| deep(below, above) }
  end

  def texts
    catalogue.resources.select { |resource| resource.type == 'File' && resource[:content].to_s.include?('version: 1') }
  end

  def deep(below, above)
    below.merge(above) { |_, old, new| old.is_a?(Hash) && new.is_a?(Hash) ? deep(old, new) : new }
  end

  tunnels = { 'addresses' => ['127.0.0.42/32'], 'rp_filter' => 'off' }
  {
    'ipip' => {
      'sysctl' => { 'net.ipv4.conf.all.rp_filter' => 0 },
      'link' => { 'eno1' => { 'rp_filter' => 'off' } },
      'tunnel' => { 'ipip0' => { 'mode' => 'ipip', **tunnels }, 'ipip60' => { 'mode' => 'ip6tnl', **tunnels } },
    },
    'rp_filter' => {
      'sysctl' => { 'net.ipv4.conf.all.rp_filter' => 0, 'net.ipv4.conf.default.rp_filter' => 1 },
      'link' => { 'ipip0' => { 'rp_filter' => 'off' } },
    },
    'calico' => {
      'link' => { 'pods' => { 'match' => { 'name' => 'cali*', 'kind' => 'veth' }, 'mtu' => 1460, 'rp_filter' => 'strict' } },
      'cni' => { 'calico' => { 'plugin' => 'calico', 'mtu' => 1460 } },
    },
  }.each do |example, says|
    context "with examples/#{example}.pp" do
      let(:pre_condition) { File.read(File.join(MODULE_ROOT, "examples/#{example}.pp")) }

      it { is_expected.to compile.with_all_deps }

      it 'is compared after all of it is written' do
        documents = catalogue.resources.select { |resource| resource.type == 'Netkeel::Document' }
        documents.each { |one| is_expected.to contain_netkeel__document(one.title) }
        texts.each { |file| is_expected.to contain_file(file.title).that_comes_before('Netkeel_host[default]') }
      end

      it { expect(declared).to eq(says.merge('version' => 1)) }
    end
  end

  # The class of the example, with the data that a site has.
  {
    'no key' => [nil, 1, 1],
    'a boolean' => [false, 0, 0],
    'a hash' => [{ 'all_rp_filter' => 0, 'default_rp_filter' => 2 }, 0, 2],
  }.each do |what, (value, all, default)|
    context "with examples/rp_filter.pp and #{what}" do
      let(:data) { Dir.mktmpdir('netkeel-hiera') }
      let(:hiera_config) { File.join(data, 'hiera.yaml') }
      let(:pre_condition) do
        example = File.read(File.join(MODULE_ROOT, 'examples/rp_filter.pp'))
        "#{example[/^class profile.*?^}/m]}\ninclude profile::base::rp_filter"
      end

      before do
        File.write(hiera_config, { 'version' => 5, 'hierarchy' => [{ 'name' => 'data', 'path' => "#{data}/data.yaml" }] }.to_yaml)
        File.write(File.join(data, 'data.yaml'), { 'profile::base::enable_rp_filter' => value }.compact.to_yaml)
      end

      after { FileUtils.remove_entry(data) }

      it { expect(declared['sysctl']).to eq('net.ipv4.conf.all.rp_filter' => all, 'net.ipv4.conf.default.rp_filter' => default) }
    end
  end
end
