# @summary Installs the units and runs the service
# @api private
class netkeel::service {
  if $netkeel::manage_service {
    $program = $netkeel::binary ? {
      '/usr/bin/netkeel' => '',
      default            => " | sed 's|/usr/bin/netkeel|${netkeel::binary}|'",
    }

    file { '/etc/default/netkeel':
      ensure  => file,
      owner   => 'root',
      group   => 'root',
      mode    => '0644',
      content => "# Managed by Puppet.\nNETKEEL_OPTIONS=\"${netkeel::service_options.join(' ')}\"\n",
    }

    # A package has the units. Otherwise they are those of the program that is installed, whichever version that is.
    $mark = '# Managed by Puppet.'
    $packaged = $netkeel::install ? {
      'package' => 'true',
      'file'    => 'false',
      default   => 'test -e /usr/lib/systemd/system/netkeel.service',
    }
    ['netkeel.service', 'netkeel-boot.service', 'netkeel-recover.service'].each |$unit| {
      $file = "/etc/systemd/system/${unit}"
      if $netkeel::install != 'package' {
        $rendered = "{ echo '${mark}'; ${netkeel::binary} render ${unit}${program}; }"
        exec { "netkeel render ${unit}":
          command  => "${rendered} >${file}.new && mv ${file}.new ${file}",
          unless   => "${packaged} || ${rendered} | cmp --silent - ${file}",
          provider => 'shell',
          path     => ['/usr/bin', '/bin'],
          notify   => [Exec['netkeel: systemctl daemon-reload'], Service['netkeel']],
        }
      }
      # One that this module rendered would hide the package's. Those of an administrator have no mark.
      if $netkeel::install != 'file' {
        exec { "netkeel: remove ${file}":
          command  => "rm ${file}",
          onlyif   => "${packaged} && head -n 1 ${file} | grep -qxF '${mark}'",
          provider => 'shell',
          path     => ['/usr/bin', '/bin'],
          notify   => [Exec['netkeel: systemctl daemon-reload'], Service['netkeel']],
        }
      }
    }

    # A match that sets the MTU of veths sets both ends.
    $links = netkeel::without_knockouts($netkeel::link)
    $sets_pods = $links =~ Hash and $links.any |$_name, $settings| {
      $settings =~ Hash and $settings['match'] =~ Hash and $settings['mtu'] !~ Undef and $settings['pod_mtu'] != 'leave'
      and ($settings['match']['kind'] =~ Undef or $settings['match']['kind'] == 'veth')
    }
    if $netkeel::enter_pods == true or ($netkeel::enter_pods =~ Undef and $sets_pods) {
      include netkeel::pods
    } else {
      file { '/etc/systemd/system/netkeel.service.d/pods.conf':
        ensure => absent,
        notify => [Exec['netkeel: systemctl daemon-reload'], Service['netkeel']],
      }
    }

    $metrics = '/etc/systemd/system/netkeel.service.d/metrics.conf'
    if $netkeel::metrics_from.empty {
      file { $metrics:
        ensure => absent,
        notify => [Exec['netkeel: systemctl daemon-reload'], Service['netkeel']],
      }
    } else {
      include netkeel::drop_ins
      file { $metrics:
        content => "# Managed by Puppet.\n[Service]\nIPAddressAllow=${netkeel::metrics_from.join(' ')}\n",
        owner   => 'root',
        group   => 'root',
        mode    => '0644',
        notify  => [Exec['netkeel: systemctl daemon-reload'], Service['netkeel']],
      }
    }

    exec { 'netkeel: systemctl daemon-reload':
      command     => 'systemctl daemon-reload',
      path        => ['/usr/bin', '/bin'],
      refreshonly => true,
    }

    service { 'netkeel-boot':
      enable  => $netkeel::service_enable,
      require => Exec['netkeel: systemctl daemon-reload'],
    }

    service { 'netkeel':
      ensure    => $netkeel::service_ensure,
      enable    => $netkeel::service_enable,
      require   => Exec['netkeel: systemctl daemon-reload'],
      subscribe => File['/etc/default/netkeel'],
    }

    # A new program replaces the file of a running one, whoever brought it, and in whichever run.
    if $netkeel::service_ensure == 'running' {
      $process = 'pid=$(systemctl show --property=MainPID --value netkeel)'
      exec { 'netkeel: systemctl restart':
        command  => 'systemctl restart netkeel',
        unless   => "${process}; test \"\${pid:-0}\" = 0 || test /proc/\$pid/exe -ef ${netkeel::binary}",
        provider => 'shell',
        path     => ['/usr/bin', '/bin'],
        require  => Service['netkeel'],
      }
    }
  }
}
