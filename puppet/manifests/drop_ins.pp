# @summary The directory of the service's drop-ins
# @api private
class netkeel::drop_ins {
  file { '/etc/systemd/system/netkeel.service.d':
    ensure => directory,
    owner  => 'root',
    group  => 'root',
    mode   => '0755',
    before => Service['netkeel'],
  }
}
