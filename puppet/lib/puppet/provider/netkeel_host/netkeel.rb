# frozen_string_literal: true

require 'json'
require 'tmpdir'

# Runs `netkeel plan` and `netkeel apply`. It does not use Puppet's `commands`: a missing program must fail the run with a
# message, not make the provider unsuitable.
Puppet::Type.type(:netkeel_host).provide(:netkeel) do
  desc 'Runs the program netkeel.'

  # The length of the path of the documents that are compared, below /tmp.
  LENGTH = 33

  attr_reader :summary

  # The host itself, for `puppet resource`.
  def self.instances
    type = Puppet::Type.type(:netkeel_host)
    return [] unless type.installed && File.directory?(type.usual_directory)

    [new(name: 'default')]
  end

  def settings
    return not_installed unless File.executable?(resource[:binary])

    @compared = resource.documents
    look = plan
    @summary = look[:text].lines.map(&:chomp).reverse.find { |line| line.start_with?('Plan:') } || 'the host differs'
    if look[:differs]
      resource.property(:settings).send_log(:notice, "\n#{look[:text]}") if resource.shows_diff? && !look[:text].empty?
      # An apply may mend what the plan found.
      resource.noop? ? report(look[:findings]) : (@findings = look[:findings])
    else
      report(look[:findings])
      resource.remember_documents
    end
    look[:differs] ? :differs : :as_declared
  end

  # Applies what was compared, and compares again.
  def settings=(_should)
    apply
    look = plan
    report(look[:findings])
    raise Puppet::Error, "the host still differs after netkeel apply:\n#{look[:text].strip}" if look[:differs]

    resource.remember_documents
  rescue Puppet::Error
    report(@findings) unless look
    raise
  end

  private

  # Under noop a program that this catalog installs is missing. That is a difference without a plan to show.
  def not_installed
    raise Puppet::Error, "#{resource[:binary]} is missing or not executable: netkeel is not installed" unless resource[:installing] && resource.noop?

    @summary = 'netkeel is not installed yet: the state of the host is not known'
    :differs
  end

  # Compares the host with the documents: a copy of them, which are as they will be.
  def plan
    with_copy do |path|
      words = ['plan', '-f', path, *namespace]
      text = run([*words, '--detailed-exitcode'], path)
      # 2 is a difference.
      raise Puppet::Error, failure('plan', text) unless [0, 2].include?(text.exitstatus)

      { text: text.to_s, findings: findings([*words, '--output', 'json'], path), differs: text.exitstatus == 2 }
    end
  end

  # The findings of a plan, which has them as data in JSON only.
  def findings(words, path)
    JSON.parse(run(words, path, combine: false)).fetch('findings', [])
  rescue JSON::ParserError => e
    resource.warning("the findings of netkeel cannot be read: #{e.message}")
    []
  end

  # A note is no warning.
  def report(findings)
    findings.each do |finding|
      subjects = finding['subjects'].empty? ? '' : " #{finding['subjects'].join(', ')}"
      remedy = finding['remedy'].to_s.empty? ? '' : " (#{finding['remedy']})"
      level = finding['severity'] == 'note' ? :info : :warning
      resource.send_log(level, "#{finding['code']}#{subjects}: #{finding['message']}#{remedy}")
    end
  end

  def apply
    words = ['apply', *options]
    done = if resource[:directory]
             raise Puppet::Error, "#{resource[:directory]} changed since netkeel compared it; the next run compares again" if changed?

             # Not a copy: the history names the directory.
             run([*words, '-f', resource[:directory], *namespace], resource[:directory])
           else
             with_copy { |path| run([*words, '-f', path, *namespace], path) }
           end
    raise Puppet::Error, failure('apply', done) unless done.exitstatus == 0 # rubocop:disable Style/NumericPredicate -- a signal leaves none

    Puppet.debug(done.to_s)
  end

  # Whether somebody else wrote documents since they were compared.
  def changed?
    resource.documents != @compared
  end

  def options
    words = ['--lock-timeout', '30s']
    words << '--allow-management' if resource[:allow_management]
    words << '--allow-lossy' if resource[:allow_lossy]
    words + resource[:verify_reach].flat_map { |target| ['--verify-reach', target] }
  end

  def namespace
    resource[:netns] ? ['--netns', resource[:netns]] : []
  end

  # Yields a directory with the documents that are compared. Its path has the same length each time, since the program aligns
  # by that; that of the temporary directory has the number of the process.
  def with_copy
    Dir.mktmpdir('nk') do |scratch|
      copy = File.join(scratch, 'd'.ljust(LENGTH - scratch.length - 1, '-'))
      Dir.mkdir(copy, 0o700)
      @compared.each { |name, text| File.binwrite(File.join(copy, name), text) }
      yield copy
    end
  end

  # Runs the program for a limited time, after which an apply has 15 seconds to roll back. The output names the documents by their
  # final paths.
  def run(words, path, combine: true)
    command = ['timeout', '--verbose', '--kill-after=15', resource[:timeout].to_s, resource[:binary], *words]
    done = Puppet::Util::Execution.execute(
      command, failonfail: false, combine: combine, override_locale: false, custom_environment: { 'NO_COLOR' => '1' }
    )
    place = resource[:directory] || "Netkeel_host[#{resource[:name]}]"
    Puppet::Util::Execution::ProcessOutput.new(done.to_s.gsub(path, place), done.exitstatus)
  end

  def failure(verb, done)
    # The output of timeout(1) when it ends a program.
    what = if done.to_s.include?('timeout: sending signal') then "took longer than #{resource[:timeout]} s"
           elsif done.exitstatus then "exited with #{done.exitstatus}"
           else
             'was ended by a signal'
           end
    "netkeel #{verb} #{what}:\n#{done.to_s.strip}"
  end
end
