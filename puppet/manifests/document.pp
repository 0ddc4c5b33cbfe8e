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
# @param label The name of the file, without its position and `.yaml`; by default the title.
# @param ensure `absent` removes the document. With `prune`, netkeel then restores the earlier values.
# @param content The document, or a part of one, without `version`. It is required unless `ensure` is `absent`.
# @param order Its position among the other documents.
define netkeel::document (
  String[1] $label = $title,
  Enum['present', 'absent'] $ensure = 'present',
  Optional[Hash[String[1], Any]] $content = undef,
  Integer[10, 99] $order = 70,
) {
  include netkeel

  if $ensure == 'present' and $content =~ Undef {
    fail("netkeel::document '${title}' needs the parameter 'content'")
  }

  $safe = regsubst($label, '[^A-Za-z0-9._-]', '_', 'G')
  $file = "${order}-${safe}.yaml"
  $text = $ensure ? {
    'present' => netkeel::document($content, "Managed by Puppet: netkeel::document '${title}'."),
    default   => undef,
  }
  $file_ensure = $ensure ? {
    'present' => file,
    default   => absent,
  }

  file { "${netkeel::directory}/${file}":
    ensure  => $file_ensure,
    owner   => 'root',
    group   => 'root',
    mode    => '0644',
    content => $text,
    backup  => false,
    before  => Class['netkeel::converge'],
  }

  if $netkeel::converge == 'exec' {
    file { "${netkeel::candidate_directory}/${file}":
      ensure    => $file_ensure,
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
