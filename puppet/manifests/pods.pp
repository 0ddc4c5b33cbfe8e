# @summary Installs the drop-in that lets the service enter pods, which setting both ends of their veths needs
# @api private
class netkeel::pods {
  if $netkeel::manage_service and $netkeel::enter_pods != false {
    $directory = '/etc/systemd/system/netkeel.service.d'
    include netkeel::drop_ins

    $rendered = "${netkeel::binary} render netkeel-pods.conf"
    exec { 'netkeel render netkeel-pods.conf':
      command  => "${rendered} >${directory}/pods.new && mv ${directory}/pods.new ${directory}/pods.conf",
      unless   => "${rendered} | cmp --silent - ${directory}/pods.conf",
      provider => 'shell',
      path     => ['/usr/bin', '/bin'],
      require  => [Class['netkeel::install'], File[$directory]],
      notify   => [Exec['netkeel: systemctl daemon-reload'], Service['netkeel']],
    }
  }
}
