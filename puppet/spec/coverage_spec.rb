# frozen_string_literal: true

require 'spec_helper'

# rspec-puppet counts the resources of catalogs that were compiled. What no spec compiles it does not miss: this does.
describe 'the specs' do
  # Whatever was loaded beside this: so the whole directory must be run.
  described = -> { RSpec.world.example_groups.map { |group| group.description.to_s } }
  declared = lambda do |below, pattern|
    files = Dir[File.join(MODULE_ROOT, below)].sort
    names = files.map { |file| File.read(file)[pattern, 1] or raise "#{file} declares nothing" }
    expect(names).not_to be_empty
    names
  end

  {
    'every class and define' => ['manifests/**/*.pp', /^(?:class|define) (\S+)/],
    'every type of data' => ['types/**/*.pp', /^type (\S+) =/],
    'every function' => ['lib/puppet/functions/**/*.rb', /create_function\(:'?([\w:]+)/],
    'every type of resource' => ['lib/puppet/type/*.rb', /Type\.newtype\(:(\w+)/],
  }.each do |what, (files, pattern)|
    it "describe #{what}" do
      known = described.call + described.call.map { |name| name.delete_prefix('Puppet::Type::').downcase }
      expect(instance_exec(files, pattern, &declared) - known).to eq([])
    end
  end
end
