# @summary Compares the host with the documents, and applies them
# @api private
class netkeel::converge {
  case $netkeel::converge {
    'type': {
      netkeel_host { $netkeel::owner:
        directory        => $netkeel::directory,
        binary           => $netkeel::binary,
        timeout          => $netkeel::timeout,
        allow_management => $netkeel::allow_management,
        allow_lossy      => $netkeel::allow_lossy,
        verify_reach     => $netkeel::verify_reach,
        installing       => $netkeel::install != 'none',
      }
    }
    'exec': {
      contain netkeel::converge::exec
    }
    default: {}
  }
}
