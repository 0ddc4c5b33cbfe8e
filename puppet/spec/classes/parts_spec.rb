# frozen_string_literal: true

require 'spec_helper'

# The classes of which `netkeel` consists, which are nobody's to declare but its own.
{
  'netkeel::install' => ['', 'Package[netkeel]', 'Netkeel_host[default]'],
  'netkeel::config' => ['', 'File[/etc/netkeel/desired.d/50-hiera.yaml]', 'Netkeel_host[default]'],
  'netkeel::converge' => ['', 'Netkeel_host[default]', 'Service[netkeel]'],
  'netkeel::converge::exec' => ["converge => 'exec'", 'Exec[netkeel apply]', 'Service[netkeel]'],
  'netkeel::drop_ins' => ['enter_pods => true', 'File[/etc/systemd/system/netkeel.service.d]', 'Service[netkeel]'],
  'netkeel::pods' => ['enter_pods => true', 'Exec[netkeel render netkeel-pods.conf]', 'Service[netkeel]'],
  'netkeel::service' => ['', 'Service[netkeel]', nil],
}.each do |part, (parameters, resource, later)|
  describe part do
    let(:pre_condition) { "class { 'netkeel': #{parameters} }" }

    it { is_expected.to compile.with_all_deps }

    it "has #{resource}, in its place" do
      type, title = resource.match(/\A(.+?)\[(.+)\]\z/).captures
      is_expected.to contain_class(part)
      contained = send("contain_#{type.downcase}", title)
      is_expected.to later ? contained.that_comes_before(later) : contained
    end
  end
end
