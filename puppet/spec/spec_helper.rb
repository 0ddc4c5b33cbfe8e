# frozen_string_literal: true

require 'rspec-puppet'
require 'tmpdir'
require 'yaml'

MODULE_ROOT = File.expand_path('..', __dir__)
# A module path on which this directory bears the name of the module, whatever the checkout is called.
MODULE_PATH = Dir.mktmpdir('netkeel-modulepath')
File.symlink(MODULE_ROOT, File.join(MODULE_PATH, 'netkeel'))
$LOAD_PATH.unshift(File.join(MODULE_ROOT, 'lib'))

FACTS = {
  os: { 'family' => 'Debian', 'name' => 'Debian', 'release' => { 'major' => '12', 'full' => '12.7' } },
  networking: { 'primary' => 'eno1', 'interfaces' => { 'eno1' => { 'mtu' => 1500 } } },
  kernel: 'Linux',
}.freeze

RSpec.configure do |config|
  config.module_path = MODULE_PATH
  config.manifest_dir = MODULE_PATH
  config.setup_fixtures = false
  # As Puppet 8 has it without being told.
  config.strict_variables = true
  config.before { Puppet[:strict] = :error }
  config.before { Puppet[:include_legacy_facts] = false }
  config.default_facts = FACTS
  config.after(:suite) { FileUtils.remove_entry(MODULE_PATH) }
  config.after(:suite) { RSpec::Puppet::Coverage.report!(100) }
end

# The document that a catalog writes under this name, as what it says.
def document(catalogue, name)
  file = catalogue.resource('File', "/etc/netkeel/desired.d/#{name}") or raise "no #{name} in the catalog"
  YAML.safe_load(file[:content])
end
