# @summary Writes the document, and keeps Puppet from removing the drop-in that netkeel writes
# @api private
class netkeel::config {
  $directories = $netkeel::directory ? {
    '/etc/netkeel/desired.d' => ['/etc/netkeel', $netkeel::directory],
    default                  => [$netkeel::directory],
  }
  file { $directories:
    ensure => directory,
    owner  => 'root',
    group  => 'root',
    mode   => '0755',
  }

  if $netkeel::purge_documents {
    File[$netkeel::directory] {
      recurse => true,
      purge   => true,
      force   => true,
    }
  }

  if $netkeel::converge == 'exec' {
    # The candidates of the comparison. They are written under noop too, and silently, because they are not managed state.
    file { $netkeel::candidate_directory:
      ensure   => directory,
      owner    => 'root',
      group    => 'root',
      mode     => '0700',
      recurse  => true,
      purge    => true,
      force    => true,
      backup   => false,
      noop     => false,
      loglevel => 'debug',
    }
  }

  $sections = {
    'limits'    => netkeel::without_knockouts($netkeel::limits),
    'allow'     => $netkeel::allow,
    'sysctl'    => $netkeel::sysctl,
    'link'      => netkeel::without_knockouts($netkeel::link),
    'tunnel'    => netkeel::without_knockouts($netkeel::tunnel),
    'route'     => netkeel::without_knockouts($netkeel::route),
    'nflog'     => netkeel::without_knockouts($netkeel::nflog),
    'replicate' => netkeel::without_knockouts($netkeel::replicate),
    'probes'    => netkeel::without_knockouts($netkeel::probes),
    'cni'       => netkeel::without_knockouts($netkeel::cni),
    'wireguard' => netkeel::without_knockouts($netkeel::wireguard),
  }.filter |$section| { !($section[1] =~ Undef or $section[1].empty) }

  $general = {
    'owner'            => [$netkeel::owner, 'default'],
    'persist'          => [$netkeel::persist, true],
    'prune'            => [$netkeel::prune, false],
    'allow_any_sysctl' => [$netkeel::allow_any_sysctl, false],
    'host_network'     => [$netkeel::host_network, false],
  }.filter |$setting| { $setting[1][0] != $setting[1][1] }.reduce({}) |$given, $setting| {
    $given + { $setting[0] => $setting[1][0] }
  }

  netkeel::document { 'hiera':
    content => $general + $sections,
    order   => 50,
  }

  if $netkeel::persist {
    $drop_in = $netkeel::owner ? {
      'default' => '90-netkeel.conf',
      default   => "90-netkeel-${netkeel::owner}.conf",
    }
    # Without `ensure`: it is netkeel's to write, and not for a Puppet to remove that purges /etc/sysctl.d.
    file { "/etc/sysctl.d/${drop_in}": }
  }
}
