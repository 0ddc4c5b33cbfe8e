# frozen_string_literal: true

require 'tmpdir'

# Runs `netkeel plan` and `netkeel apply`. It does not use Puppet's `commands`: a missing program must fail the run with a
# message, not make the provider unsuitable.
Puppet::Type.type(:netkeel_host).provide(:netkeel) do
  desc 'Runs the program netkeel.'

  DIFFERS = 2
  # The output of timeout(1) when it ends a program.
  TOO_LONG = 'timeout: sending signal'
  # Seconds that an apply has to roll back after it was asked to end.
  GRACE = 15

  attr_reader :difference, :summary

  def settings
    @difference = nil
    return not_installed unless File.executable?(resource[:binary])

    plan = with_documents { |path| run(['plan', '--detailed-exitcode', '-f', path, *namespace], path) }
    return :as_declared if plan.exitstatus == 0 # rubocop:disable Style/NumericPredicate -- a signal leaves none

    raise Puppet::Error, failure('plan', plan) unless plan.exitstatus == DIFFERS

    @difference = plan.to_s
    @summary = @difference.lines.map(&:chomp).reverse.find { |line| line.start_with?('Drift:') } || 'the host differs'
    :differs
  end

  def settings=(_should)
    done = with_documents(applying: true) { |path| run(['apply', *options, '-f', path, *namespace], path) }
    raise Puppet::Error, failure('apply', done) unless done.exitstatus == 0 # rubocop:disable Style/NumericPredicate -- a signal leaves none

    Puppet.debug(done.to_s)
  end

  private

  # Under noop a program that this catalog installs is missing. That is a difference without a plan to show.
  def not_installed
    unless resource[:installing] && resource.noop?
      raise Puppet::Error, "#{resource[:binary]} is missing or not executable: netkeel is not installed"
    end

    @summary = 'netkeel is not installed yet: the state of the host is not known'
    :differs
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

  # Yields where the documents are: for a comparison a copy as they will be, for an apply the directory itself, which has been
  # written by then, so that the history names it.
  def with_documents(applying: false)
    return yield resource[:directory] if applying && resource[:directory]

    Dir.mktmpdir('netkeel') do |copy|
      resource.documents.each { |name, text| File.binwrite(File.join(copy, name), text) }
      yield copy
    end
  end

  # Runs the program for a limited time. The output names the documents by their final paths.
  def run(words, path)
    command = ['timeout', '--verbose', "--kill-after=#{GRACE}", resource[:timeout].to_s, resource[:binary], *words]
    done = Puppet::Util::Execution.execute(
      command, failonfail: false, combine: true, override_locale: false, custom_environment: { 'NO_COLOR' => '1' }
    )
    place = resource[:directory] || "Netkeel_host[#{resource[:name]}]"
    Puppet::Util::Execution::ProcessOutput.new(done.to_s.gsub(path, place), done.exitstatus)
  end

  def failure(verb, done)
    what = if done.to_s.include?(TOO_LONG) then "took longer than #{resource[:timeout]} s"
           elsif done.exitstatus then "exited with #{done.exitstatus}"
           else 'was ended by a signal'
           end
    "netkeel #{verb} #{what}:\n#{done.to_s.strip}"
  end
end
