# frozen_string_literal: true

require 'spec_helper'
require 'tmpdir'

describe Puppet::Type.type(:netkeel_host) do
  let(:scratch) { Dir.mktmpdir('netkeel-spec') }
  let(:desired) { File.join(scratch, 'desired.d').tap { |path| Dir.mkdir(path) } }
  let(:said) { File.join(scratch, 'said') }
  let(:catalog) { Puppet::Resource::Catalog.new }
  let(:provider) { host.provider }

  after { FileUtils.remove_entry(scratch) }

  # A program in the place of netkeel: it notes its words and its documents, and does as the lines say.
  def program(*lines)
    path = File.join(scratch, 'netkeel')
    notes = ["echo \"$@\" >>#{said}", 'for word; do [ -d "$word" ] && tail -n +1 "$word"/* >>' + said + ' 2>&1; done']
    File.write(path, ['#!/bin/sh', *notes, *lines].join("\n"))
    File.chmod(0o755, path)
    path
  end

  def host(**parameters)
    @host ||= described_class.new({ name: 'default', directory: desired, **parameters }).tap { |host| catalog.add_resource(host) }
  end

  def file(name, **parameters)
    catalog.add_resource(Puppet::Type.type(:file).new(path: File.join(desired, name), **parameters))
  end

  describe 'what it takes' do
    {
      'nothing to compare with' => { directory: nil },
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

    it 'makes a document of a map' do
      expect(described_class.new(name: 'x', document: { 'prune' => true }).documents).to eq('document.yaml' => '{"version":1,"prune":true}')
    end
  end

  describe 'the documents of a directory' do
    before { File.write(File.join(desired, '10-found.yaml'), 'found') }

    it 'are what Puppet is to write, and what is there otherwise' do
      file('50-hiera.yaml', content: 'new')
      File.write(File.join(desired, '50-hiera.yaml'), 'old')
      expect(host.documents).to eq('10-found.yaml' => 'found', '50-hiera.yaml' => 'new')
    end

    it 'are not what Puppet is to remove' do
      file('10-found.yaml', ensure: :absent)
      expect(host.documents).to eq({})
    end

    it 'are not what Puppet is to purge' do
      file('', ensure: :directory, recurse: true, purge: true)
      file('50-hiera.yaml', content: 'new')
      expect(host.documents).to eq('50-hiera.yaml' => 'new')
    end

    it 'are refused where the catalog does not have their content' do
      file('50-hiera.yaml', source: '/nowhere')
      expect { host.documents }.to raise_error(Puppet::Error, /give it `content`/)
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

    it 'differs with the plan and its last line, and places where the documents belong' do
      file('50-hiera.yaml', content: 'new')
      host(binary: program('shift 3', 'echo "~ mtu 1500 -> 1460  $1/50-hiera.yaml:3:9"', 'echo "Drift: 1 of 1 declared facts"', 'exit 2'))
      expect(provider.settings).to eq(:differs)
      expect(provider.difference).to eq("~ mtu 1500 -> 1460  #{desired}/50-hiera.yaml:3:9\nDrift: 1 of 1 declared facts\n")
      expect(provider.summary).to eq('Drift: 1 of 1 declared facts')
      expect(File.read(said)).to match(/\Aplan --detailed-exitcode -f .*new/m)
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
      host(binary: program('echo "reading"', 'exec sleep 30'), timeout: 1)
      expect { provider.settings }.to raise_error(Puppet::Error, /took longer than 1 s:\nreading/)
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

  describe 'showing' do
    let(:property) { host.property(:settings) }

    before do
      host(binary: program('echo "~ mtu"', 'exit 2'))
      provider.settings
    end

    def told(show)
      Puppet[:show_diff] = show
      shown = []
      allow(property).to receive(:send_log) { |_, text| shown << text }
      expect(property.insync?(:differs)).to be(false)
      shown
    end

    it { expect(told(true)).to eq(["\n~ mtu\n"]) }
    it { expect(told(false)).to eq([]) }
  end

  describe 'applying' do
    it 'applies the directory, with the options' do
      host(binary: program('exit 0'), verify_reach: ['192.0.2.1:22'], allow_lossy: true, allow_management: true, netns: 'blue')
      provider.settings = :as_declared
      expect(File.read(said).lines.first).to eq(
        "apply --lock-timeout 30s --allow-management --allow-lossy --verify-reach 192.0.2.1:22 -f #{desired} --netns blue\n",
      )
    end

    [1, 2, 3, 4].each do |status|
      it "fails with netkeel's words where it exits with #{status}" do
        host(binary: program('echo "failed, and all was undone" >&2', "exit #{status}"))
        expect { provider.settings = :as_declared }.to raise_error(Puppet::Error, /apply exited with #{status}:\nfailed, and all was undone/)
      end
    end

    it 'fails where netkeel takes too long, and lets it undo' do
      host(binary: program("trap 'echo undone; exit 3' TERM", 'sleep 30 & wait'), timeout: 1)
      expect { provider.settings = :as_declared }.to raise_error(Puppet::Error, /took longer than 1 s:.*undone/m)
    end
  end
end
