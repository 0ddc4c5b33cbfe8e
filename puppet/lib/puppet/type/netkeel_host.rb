# frozen_string_literal: true

require 'puppet/parameter/boolean'

Puppet::Type.newtype(:netkeel_host) do
  @doc = <<~DOC
    The network path settings of this host, as netkeel documents declare them.

    With `directory` they are the documents that the directory will contain when this catalog is applied. The files that
    Puppet manages there count with their future content, so the difference is correct under `--noop` too,
    even in the run that changes them. With `document` it is this one document, and no file is needed.

    If the host differs, the output of `netkeel plan` is printed (unless `show_diff` is off), and the resource
    is out of sync. A rejected document, and a run that fails or takes too long, are failures with netkeel's own words.

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
    desc 'The directory of the documents.'
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
    desc 'The absolute path of the program.'
    defaultto '/usr/local/bin/netkeel'
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
    desc 'Targets (HOST or HOST:PORT) that must answer after an apply if they did before; otherwise it is rolled back.'
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
      return true if is == :as_declared

      send_log(:notice, "\n#{provider.difference}") if resource.shows_diff?
      false
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

  # Whether somebody sees the difference, as for files.
  def shows_diff?
    Puppet[:show_diff] && show_diff? && !(provider.difference.nil? || provider.difference.empty?)
  end

  validate do
    raise ArgumentError, 'netkeel_host takes either `directory` or `document`' if [self[:directory], self[:document]].compact.size != 1
  end

  # The texts of the documents by their file names, as the directory will hold them when the catalog is applied.
  def documents
    return { 'document.yaml' => text_of(self[:document]) } if self[:document]

    managed = managed_documents
    found = stays_unmanaged? ? Dir.children(self[:directory]).sort : []
    unmanaged = found.reject { |name| managed.key?(name) }.select { |name| File.file?(File.join(self[:directory], name)) }
    texts = unmanaged.to_h { |name| [name, File.binread(File.join(self[:directory], name))] }
    texts.merge(managed.compact)
  end

  # The files that Puppet writes into the directory; `nil` for those that it removes.
  def managed_documents
    return {} unless catalog

    files = catalog.resources.grep(Puppet::Type.type(:file)).select { |file| File.dirname(file[:path]) == self[:directory] }
    files.to_h { |file| [File.basename(file[:path]), text_in_catalog(file)] }
  end

  autorequire(:file) { [self[:binary], self[:directory], *managed_paths].compact }

  private

  def managed_paths
    self[:directory] ? managed_documents.keys.map { |name| File.join(self[:directory], name) } : []
  end

  # Whether files in the directory that Puppet does not know will still be there.
  def stays_unmanaged?
    return false unless File.directory?(self[:directory])

    directory = catalog&.resource(:file, self[:directory])
    !(directory && directory[:purge].to_s == 'true' && directory.recurse?)
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
