# @summary A document that overrides those with a smaller order
#
# netkeel merges the documents of a directory in the order of their names. Maps are merged by key, other values of a later
# document replace those of an earlier one, and `undef` withdraws a key. The class writes the data of Hiera at 50, and the
# defines `netkeel::link`, `netkeel::tunnel`, ... write at 60.
#
# The define orders itself before the comparison. A class with such a define must not require
# `Class['netkeel']`.
#
# @example Settings that a role adds
#   netkeel::document { 'load-balancer':
#     content => { 'sysctl' => { 'net.ipv4.conf.all.rp_filter' => 0 } },
#   }
#
# @param content The document, or a part of one, without `version`.
# @param order Its position among the other documents.
define netkeel::document (
  Hash[String[1], Any] $content,
  Integer[10, 99] $order = 70,
) {
  include netkeel

  $safe = regsubst($title, '[^A-Za-z0-9._-]', '_', 'G')
  $file = "${order}-${safe}.yaml"
  $text = netkeel::document($content, "Managed by Puppet: netkeel::document '${title}'.")

  file { "${netkeel::directory}/${file}":
    ensure  => file,
    owner   => 'root',
    group   => 'root',
    mode    => '0644',
    content => $text,
    backup  => false,
    before  => Class['netkeel::converge'],
  }

  if $netkeel::converge == 'exec' {
    file { "${netkeel::candidate_directory}/${file}":
      ensure    => file,
      owner     => 'root',
      group     => 'root',
      mode      => '0600',
      content   => $text,
      show_diff => false,
      backup    => false,
      noop      => false,
      loglevel  => 'debug',
      before    => Exec['netkeel plan'],
    }
  }
}
