# @summary Execs that show the live difference, also under noop, and print nothing if there is no drift
#
# `unless` under noop reads the documents as they are on disk, which are the old ones in the very run that changes them.
# So a first exec, which runs under noop too and writes nothing, compares the host with candidates; only the second one,
# which does not run under noop, applies.
#
# A command that takes longer than `timeout` is ended by timeout(1), and not by Puppet, for which an `unless` that it ended
# itself means that all is well.
#
# @api private
class netkeel::converge::exec {
  $limited = "timeout --verbose --kill-after=15 ${netkeel::timeout} ${netkeel::binary}"
  $options = [
    $netkeel::allow_management ? { true => ' --allow-management', default => '' },
    $netkeel::allow_lossy ? { true => ' --allow-lossy', default => '' },
    $netkeel::verify_reach.map |$target| { " --verify-reach '${target}'" },
  ].flatten.join('')

  # While this very catalog is about to install the program there is nothing to ask yet, but only under noop.
  $present = $netkeel::install ? {
    'none'  => undef,
    default => "test -x ${netkeel::binary}",
  }

  exec { 'netkeel plan':
    command   => "${limited} plan --detailed-exitcode -f ${netkeel::candidate_directory}",
    onlyif    => $present,
    unless    => "${limited} check --quiet -f ${netkeel::candidate_directory}",
    returns   => [0, 2],
    logoutput => true,
    noop      => false,
    provider  => 'shell',
    path      => ['/usr/bin', '/bin'],
    timeout   => $netkeel::timeout + 20,
    require   => Class['netkeel::config'],
  }

  exec { 'netkeel apply':
    command   => "${limited} apply --lock-timeout 30s${options} -f ${netkeel::directory}",
    unless    => "${limited} check --quiet -f ${netkeel::directory}",
    logoutput => 'on_failure',
    provider  => 'shell',
    path      => ['/usr/bin', '/bin'],
    timeout   => $netkeel::timeout + 20,
    require   => Exec['netkeel plan'],
  }
}
