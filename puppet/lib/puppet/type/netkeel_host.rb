# frozen_string_literal: true

require 'digest'
require 'puppet/parameter/boolean'

Puppet::Type.newtype(:netkeel_host) do
  @doc = <<~DOC
    The network path settings of this host, as netkeel documents declare them.

    With `directory` they are the documents of that directory. In a run that applies, they are those that the directory holds by
    then, so a document that this run skipped or only simulated counts as it is, and exactly what was compared is applied. Under
    `--noop` the files that Puppet would write count with their future content, so the difference is correct even in the run that
    changes them. With `document` it is this one document, and no file is needed.

    If the host differs, the output of `netkeel plan` is printed once (unless `show_diff` is off), and the resource is out of sync.
    It is a corrective change if the documents are those of the last run. After an apply netkeel compares again. A rejected
    document, a run that fails or takes too long, and a host that still differs are failures with netkeel's own words. The findings
    of netkeel are warnings, also if nothing changes.

    `puppet resource netkeel_host` compares the host with /etc/netkeel/desired.d.

    **Autorequires:** the binary, the directory and all files in it.

    @example One document, without a file
      netkeel_host { 'default':
        document => { 'sysctl' => { 'net.ipv4.conf.all.rp_filter' => 0 } },
      }
  DOC

  newparam(:name, namevar: true) do
    desc 'A label.'
  end

  newparam(:directory) do
    desc 'The directory of the documents; /etc/netkeel/desired.d if there is no `document`.'
    munge { |value| File.expand_path(value) }
    validate do |value|
      raise ArgumentError, "#{value.inspect} is no absolute path" unless Puppet::Util.absolute_path?(value, :posix)
    end
  end

  newparam(:document) do
    desc 'A document: a map, to which `version: 1` is added, or its text.'
    validate do |value|
      raise ArgumentError, 'a document is a map or text' unless value.is_a?(Hash) || value.is_a?(String)
    end
  end

  newparam(:binary) do
    desc 'The absolute path of the program; by default /usr/bin/netkeel, or where it is in `PATH`.'
    defaultto { Puppet::Type.type(:netkeel_host).installed || Puppet::Type.type(:netkeel_host).usual_binary }
  end

  newparam(:netns) do
    desc 'A network namespace, as `ip netns` names it, instead of the host.'
  end

  newparam(:timeout) do
    desc 'Time limit of a netkeel run in seconds, 1 to 3600. An apply that exceeds it is rolled back.'
    defaultto 60
    munge { |value| Integer(value) }
    validate do |value|
      raise ArgumentError, "#{value.inspect} is not 1 to 3600 seconds" unless Integer(value).between?(1, 3600)
    end
  end

  newparam(:verify_reach, array_matching: :all) do
    desc 'Targets (HOST or HOST:PORT) that must answer before an apply, else nothing is written, and after it, else it is rolled back.'
    defaultto { [] }
    munge { |value| Array(value) }
  end

  newparam(:allow_management, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether the interface that carries the default route may be changed.'
    defaultto false
  end

  newparam(:allow_lossy, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether writes that cannot be undone exactly are allowed.'
    defaultto false
  end

  newparam(:show_diff, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether the difference is printed, if the setting `show_diff` of Puppet allows it.'
    defaultto true
  end

  newparam(:installing, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether the same catalog installs netkeel. Under `--noop` a missing netkeel is then not a failure.'
    defaultto false
  end

  newproperty(:settings) do
    desc 'The state of the settings: `as_declared`.'
    newvalue(:as_declared)
    defaultto :as_declared

    def insync?(is)
      is == :as_declared
    end

    # Puppet asks whether the host left the state of the last run. With other documents the change is theirs.
    def insync_values?(should, is)
      return nil unless resource.documents_of_last_run?

      super
    end

    def change_to_s(_is, _should)
      provider.summary
    end

    def is_to_s(_is) # rubocop:disable Naming/PredicateName
      provider.summary
    end

    def should_to_s(_should)
      'as declared'
    end
  end

  # Where the class installs the program. (A constant in this block would be one of every class.)
  def self.usual_binary
    '/usr/bin/netkeel'
  end

  # Where the class keeps the documents.
  def self.usual_directory
    '/etc/netkeel/desired.d'
  end

  # The program that is installed, if any.
  def self.installed
    File.executable?(usual_binary) ? usual_binary : Puppet::Util.which('netkeel')
  end

  def initialize(resource)
    @began = Time.now
    super
  end

  # Whether somebody sees the difference, as for files.
  def shows_diff?
    Puppet[:show_diff] && show_diff?
  end

  validate do
    raise ArgumentError, 'netkeel_host takes either `directory` or `document`' if self[:directory] && self[:document]

    self[:directory] = self.class.usual_directory unless self[:document] || self[:directory]
  end

  # The texts of the documents by their file names, as the directory will hold them when this run ends.
  def documents
    return { 'document.yaml' => text_of(self[:document]) } if self[:document]

    simulated = simulated_documents
    kept = files_on_disk - simulated.keys
    texts = kept.to_h { |name| [name, File.binread(File.join(self[:directory], name))] }
    texts.merge(simulated.compact).sort.to_h
  end

  # Whether the documents are those that the last run found or made true.
  def documents_of_last_run?
    Puppet::Util::Storage.cache(self)[:documents] == digest
  end

  # To be called when the host is as the documents declare.
  def remember_documents
    Puppet::Util::Storage.cache(self)[:documents] = digest unless noop?
  end

  autorequire(:file) do
    [self[:binary], self[:directory]].compact + files_in_directory.map { |file| file[:path] }
  end

  private

  def digest
    Digest::SHA256.hexdigest(documents.to_a.inspect)
  end

  # The files of the catalog in the directory.
  def files_in_directory
    return [] unless self[:directory] && catalog

    catalog.resources.select { |other| other.type == :file && File.dirname(File.expand_path(other[:path])) == self[:directory] }
  end

  # The documents that `--noop` kept this run from writing; `nil` for those that it would have removed.
  def simulated_documents
    files_in_directory.select { |file| simulated?(file) }.to_h { |file| [File.basename(file[:path]), text_in_catalog(file)] }
  end

  # Whether a resource was only simulated, as this one is. A run without `--noop` would leave it as it is if it alone is `noop`, and
  # if it is skipped.
  def simulated?(other)
    return false unless noop? && other.noop?
    return false if explicitly_noop?(other) && !explicitly_noop?(self)

    evaluated = Puppet::Util::Storage.cache(other)[:checked]
    !evaluated.nil? && evaluated >= @began
  end

  def explicitly_noop?(resource)
    resource[:noop] == true
  end

  # The files that the directory holds, without those that this run would have purged.
  def files_on_disk
    return [] unless File.directory?(self[:directory])

    names = Dir.children(self[:directory]).select { |name| File.file?(File.join(self[:directory], name)) }
    purge_simulated? ? names & files_in_directory.map { |file| File.basename(file[:path]) } : names
  end

  def purge_simulated?
    directory = catalog&.resource(:file, self[:directory])
    directory && directory[:purge].to_s == 'true' && directory.recurse? && simulated?(directory)
  end

  def text_in_catalog(file)
    return nil if file[:ensure] == :absent

    content = file.parameter(:content)&.actual_content
    return content if content
    return File.binread(file[:path]) if File.file?(file[:path]) && file[:source].nil?

    raise Puppet::Error, "#{file.ref} has no content in the catalog, so that netkeel cannot know it: give it `content`, not `source`"
  end

  def text_of(document)
    document.is_a?(Hash) ? JSON.generate({ 'version' => 1 }.merge(document)) : document
  end
end
