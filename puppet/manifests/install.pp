# @summary Installs the program
# @api private
class netkeel::install {
  case $netkeel::install {
    'package': {
      $provider = $netkeel::package_source ? {
        undef    => undef,
        /\.rpm$/ => 'rpm',
        default  => 'dpkg',
      }
      package { $netkeel::package_name:
        ensure   => $netkeel::package_ensure,
        provider => $provider,
        source   => $netkeel::package_source,
      }
    }
    'file': {
      if $netkeel::source =~ Undef {
        fail('netkeel: `install: file` needs `source`')
      }
      file { $netkeel::binary:
        ensure => file,
        owner  => 'root',
        group  => 'root',
        mode   => '0755',
        source => $netkeel::source,
        backup => false,
      }
    }
    default: {}
  }
}
