# frozen_string_literal: true

require 'spec_helper'
require 'tmpdir'

describe Puppet::Type.type(:netkeel_host) do
  let(:scratch) { Dir.mktmpdir('netkeel-spec') }
  let(:desired) { File.join(scratch, 'desired.d').tap { |path| Dir.mkdir(path) } }
  let(:said) { File.join(scratch, 'said') }
  let(:catalog) { Puppet::Resource::Catalog.new.tap { |made| made.host_config = true } }
  let(:shown) { [] }
  let(:provider) { host.provider }

  after { FileUtils.remove_entry(scratch) }

  finding = { 'code' => 'NK005', 'severity' => 'warning', 'subjects' => ['etho'], 'message' => 'it is not there', 'remedy' => 'look again' }

  # A program in the place of netkeel: it notes its words and its documents, and does as the lines say. As JSON its plans have one
  # finding.
  define_method(:program) do |*lines|
    path = File.join(scratch, 'netkeel')
    notes = ["echo \"$@\" >>#{said}", "for word; do [ -d \"$word\" ] && tail -n +1 \"$word\"/* >>#{said} 2>&1; done"]
    findings = "case \"$*\" in *json*) echo '#{JSON.generate('findings' => [finding])}'; exit 0 ;; esac"
    File.write(path, ['#!/bin/sh', findings, *notes, *lines].join("\n"))
    File.chmod(0o755, path)
    path
  end

  def host(**parameters)
    @host ||= described_class.new({ name: 'default', directory: desired, **parameters }).tap do |host|
      catalog.add_resource(host)
      [host, host.property(:settings)].each do |part|
        allow(part).to receive(:send_log) { |level, text| shown << [level, text] }
      end
    end
  end

  # Notes that Puppet evaluated a resource, as Puppet does.
  def evaluated(resource)
    resource.tap { |one| Puppet::Util::Storage.cache(one)[:checked] = Time.now }
  end

  def file(name, **parameters)
    Puppet::Type.type(:file).new(path: File.join(desired, name), **parameters).tap { |made| catalog.add_resource(made) }
  end

  describe 'what it takes' do
    {
      'two things to compare with' => { document: {} },
      'a relative directory' => { directory: 'desired.d' },
      'a document that is none' => { directory: nil, document: 7 },
      'no time' => { timeout: 0 },
    }.each do |what, wrong|
      it "refuses #{what}" do
        given = { name: 'default', directory: '/etc/netkeel/desired.d' }.merge(wrong).compact
        expect { described_class.new(given) }.to raise_error(Puppet::Error)
      end
    end

    it 'takes the usual directory, for puppet resource' do
      expect(described_class.new(name: 'default')[:directory]).to eq('/etc/netkeel/desired.d')
    end

    it 'makes a document of a map' do
      expect(described_class.new(name: 'x', document: { 'prune' => true }).documents).to eq('document.yaml' => '{"version":1,"prune":true}')
    end
  end

  describe 'the documents of a directory' do
    before { File.write(File.join(desired, '10-found.yaml'), 'found') }

    def under_noop
      host(noop: true)
      yield
      host.documents
    end

    def written(name, **parameters)
      File.write(File.join(desired, name), 'old')
      file(name, **parameters)
    end

    it 'are under noop what Puppet would write, and what is there otherwise' do
      documents = under_noop { evaluated(written('50-hiera.yaml', content: 'new', noop: true)) }
      expect(documents).to eq('10-found.yaml' => 'found', '50-hiera.yaml' => 'new')
    end

    it 'are what is there in a run that applies' do
      evaluated(written('50-hiera.yaml', content: 'new', noop: true))
      written('60-skipped.yaml', content: 'new')
      expect(host.documents).to eq('10-found.yaml' => 'found', '50-hiera.yaml' => 'old', '60-skipped.yaml' => 'old')
    end

    it 'are what is there under noop too where Puppet skips a file, or simulates it alone' do
      Puppet[:noop] = true
      host
      evaluated(written('50-hiera.yaml', content: 'new', noop: true))
      written('60-skipped.yaml', content: 'new')
      evaluated(written('70-new.yaml', content: 'new'))
      expect(host.documents).to eq('10-found.yaml' => 'found', '50-hiera.yaml' => 'old', '60-skipped.yaml' => 'old', '70-new.yaml' => 'new')
    end

    it 'are not what Puppet would remove' do
      expect(under_noop { evaluated(file('10-found.yaml', ensure: :absent, noop: true)) }).to eq({})
    end

    it 'are not what Puppet would purge' do
      documents = under_noop do
        evaluated(file('', ensure: :directory, recurse: true, purge: true, noop: true))
        evaluated(file('50-hiera.yaml', content: 'new', noop: true))
      end
      expect(documents).to eq('50-hiera.yaml' => 'new')
    end

    it 'are none where the directory does not exist yet' do
      expect(host(directory: File.join(scratch, 'later.d')).documents).to eq({})
    end

    it 'are refused where the catalog does not have their content' do
      expect { under_noop { evaluated(file('50-hiera.yaml', source: '/nowhere', noop: true)) } }.to raise_error(Puppet::Error, /give it `content`/)
    end

    it 'are found by any spelling of the directory' do
      host(directory: "#{desired}/./", noop: true)
      evaluated(file('50-hiera.yaml', content: 'new', noop: true))
      expect(host.documents).to eq('10-found.yaml' => 'found', '50-hiera.yaml' => 'new')
      expect(host[:directory]).to eq(desired)
    end

    it 'come before the comparison' do
      file('50-hiera.yaml', content: 'new')
      expect(host.autorequire.map { |edge| edge.source.ref }).to include("File[#{desired}/50-hiera.yaml]")
    end
  end

  describe 'comparing' do
    it 'is in sync where netkeel says so' do
      host(binary: program('exit 0'))
      expect(provider.settings).to eq(:as_declared)
    end

    it 'shows the plan once, its last line in the event, and places where the documents belong' do
      Puppet[:show_diff] = true
      File.write(File.join(desired, '50-hiera.yaml'), 'new')
      host(binary: program('shift 2', 'echo "~ mtu 1500 -> 1460  $1/50-hiera.yaml:3:9"', 'echo "Plan: 0 to create, 1 to change, 0 to destroy (1 object)."', 'exit 2'))
      expect(provider.settings).to eq(:differs)
      3.times { expect(host.property(:settings).insync?(:differs)).to be(false) }
      expect(shown).to eq([[:notice, "\n~ mtu 1500 -> 1460  #{desired}/50-hiera.yaml:3:9\nPlan: 0 to create, 1 to change, 0 to destroy (1 object).\n"]])
      expect(provider.summary).to eq('Plan: 0 to create, 1 to change, 0 to destroy (1 object).')
      expect(File.read(said)).to match(/\Aplan -f .* --detailed-exitcode\n.*new/m)
    end

    {
      'netkeel refuses the document' => ['echo "error: no such key" >&2', 'exit 1'],
      'netkeel has a bug' => ['echo "error: no such key" >&2', 'exit 101'],
      'a signal ends netkeel' => ['echo "error: no such key" >&2', 'kill -9 $$'],
    }.each do |what, lines|
      it "fails with its words where #{what}" do
        host(binary: program(*lines))
        expect { provider.settings }.to raise_error(Puppet::Error, /error: no such key/)
      end
    end

    it 'fails where netkeel takes too long' do
      host(binary: program('echo "reading"', 'exec sleep 30'), timeout: 5)
      expect { provider.settings }.to raise_error(Puppet::Error, /took longer than 5 s:\nreading/)
    end

    it 'fails where netkeel is missing, also under noop' do
      host(binary: '/nowhere/netkeel', noop: true)
      expect { provider.settings }.to raise_error(Puppet::Error, /netkeel is not installed/)
    end

    it 'differs under noop where the catalog installs netkeel' do
      host(binary: '/nowhere/netkeel', noop: true, installing: true)
      expect(provider.settings).to eq(:differs)
      expect(provider.summary).to match(/not installed yet/)
    end

    it 'fails where the catalog should have installed netkeel' do
      host(binary: '/nowhere/netkeel', installing: true)
      expect { provider.settings }.to raise_error(Puppet::Error, /netkeel is not installed/)
    end
  end

  describe 'what netkeel finds' do
    let(:warning) { [:warning, 'NK005 etho: it is not there (look again)'] }

    it 'is a warning where nothing changes' do
      host(binary: program('exit 0'))
      provider.settings
      expect(shown).to eq([warning])
    end

    it 'is a warning under noop' do
      host(binary: program('exit 2'), noop: true)
      provider.settings
      expect(shown).to eq([warning])
    end

    it 'is a warning once where an apply changes the host' do
      host(binary: program(%([ "$1" = plan ] && [ ! -e #{scratch}/done ] && exit 2; touch #{scratch}/done; exit 0)))
      expect(provider.settings).to eq(:differs)
      provider.settings = :as_declared
      expect(shown).to eq([warning])
    end

    it 'is a warning where an apply fails' do
      host(binary: program('[ "$1" != plan ] || exit 2', 'exit 3'))
      provider.settings
      expect { provider.settings = :as_declared }.to raise_error(Puppet::Error)
      expect(shown).to eq([warning])
    end
  end

  describe 'showing' do
    it 'can be switched off' do
      Puppet[:show_diff] = false
      host(binary: program('echo "~ mtu"', 'exit 2'))
      provider.settings
      expect(shown).to eq([])
    end
  end

  describe 'a corrective change' do
    let(:property) { host.property(:settings) }

    before { host(binary: program('exit 0')) }

    it 'is one of a host that left the documents of the last run' do
      provider.settings
      expect(property.insync_values?([:as_declared], :differs)).to be(false)
    end

    it 'is none where the documents changed' do
      provider.settings
      File.write(File.join(desired, '50-new.yaml'), 'new')
      expect(property.insync_values?([:as_declared], :differs)).to be_nil
    end
  end

  describe 'the instances' do
    it 'are none without netkeel' do
      allow(described_class).to receive(:installed).and_return(nil)
      expect(described_class.instances).to eq([])
    end

    it 'are the host with its own documents' do
      allow(described_class).to receive(:usual_directory).and_return(desired)
      allow(described_class).to receive(:installed).and_return(program('exit 2'))
      (instance,) = described_class.instances
      expect(instance[:name]).to eq('default')
      expect(instance.retrieve[:settings]).to eq(:differs)
    end
  end

  describe 'applying' do
    it 'applies the directory, with the options, and looks again' do
      host(binary: program('exit 0'), verify_reach: ['192.0.2.1:22'], allow_lossy: true, allow_management: true, netns: 'blue')
      provider.settings
      provider.settings = :as_declared
      expect(File.read(said).lines.grep(/^(apply|plan)/).map { |line| line.sub(/-f (?!#{desired})\S+/, '-f COPY') }).to eq(
        [
          "plan -f COPY --netns blue --detailed-exitcode\n",
          "apply --lock-timeout 30s --allow-management --allow-lossy --verify-reach 192.0.2.1:22 -f #{desired} --netns blue\n",
          "plan -f COPY --netns blue --detailed-exitcode\n",
        ],
      )
    end

    it 'applies nothing where the documents changed since they were compared' do
      host(binary: program('exit 2'))
      provider.settings
      File.write(File.join(desired, '50-new.yaml'), 'new')
      expect { provider.settings = :as_declared }.to raise_error(Puppet::Error, /changed since netkeel compared it/)
      expect(File.read(said)).not_to match(/^apply/)
    end

    it 'fails where the host still differs' do
      host(binary: program('[ "$1" = apply ] || { echo "~ mtu"; exit 2; }'))
      provider.settings
      expect { provider.settings = :as_declared }.to raise_error(Puppet::Error, /still differs after netkeel apply:\n~ mtu/)
    end

    [1, 2, 3, 4].each do |status|
      it "fails with netkeel's words where it exits with #{status}" do
        host(binary: program('[ "$1" != plan ] || exit 2', 'echo "failed, and all was undone" >&2', "exit #{status}"))
        provider.settings
        expect { provider.settings = :as_declared }.to raise_error(Puppet::Error, /apply exited with #{status}:\nfailed, and all was undone/)
      end
    end

    it 'fails where netkeel takes too long, and lets it undo' do
      host(binary: program('[ "$1" != plan ] || exit 2', "trap 'echo undone; exit 3' TERM", 'sleep 30 & wait'), timeout: 5)
      provider.settings
      expect { provider.settings = :as_declared }.to raise_error(Puppet::Error, /took longer than 5 s:.*undone/m)
    end
  end
end
