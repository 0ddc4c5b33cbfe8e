# @summary A document of its own, laid over those with a smaller order
#
# netkeel layers the documents of a directory by their names: maps are merged by key, other values of a later document take
# the place of those of an earlier one, and `undef` withdraws a key. What the class has from Hiera stands at 50, what the
# defines `netkeel::link`, `netkeel::tunnel`, ... write at 60.
#
# It orders itself before the host is compared with what is declared. A class with such a define must not require
# `Class['netkeel']`.
#
# @example What a role adds
#   netkeel::document { 'load-balancer':
#     content => { 'sysctl' => { 'net.ipv4.conf.all.rp_filter' => 0 } },
#   }
#
# @param content The document, or a layer of one, without `version`.
# @param order Where it stands among the others.
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
