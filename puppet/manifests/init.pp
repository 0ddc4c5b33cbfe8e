# @summary Keeps the network path settings of a host as Hiera declares them
#
# The sections of the document (`sysctl`, `link`, `tunnel`, ...) are parameters, and are merged deep through the hierarchy.
# They become a document in `directory`; the defines of this module add others, which netkeel lays over it. The host is
# then compared with all of them: under `--noop` the difference is printed and nothing is written, otherwise netkeel makes
# the host so, or undoes what it did and fails.
#
# What is declared here is checked twice: by the types of this module when the catalog is made, and by netkeel when it
# runs.
#
# @example All from Hiera
#   include netkeel
#
# @example Data of a host
#   netkeel::sysctl:
#     net.core.rmem_max: 134217728
#   netkeel::link:
#     pods: { match: { name: 'cali*', kind: veth }, mtu: 1460, rp_filter: strict }
#   netkeel::tunnel:
#     ipip0: { mode: ipip, addresses: [127.0.0.42/32], rp_filter: 'off' }
#
# @param sysctl Sysctls and their values.
# @param link Settings of interfaces, by their names or by a match.
# @param tunnel Tunnels in collect-metadata mode.
# @param nflog Rules that hand ICMP "packet too big" to a program.
# @param replicate Who gets copies of ICMP "packet too big" while the service runs.
# @param cni The MTU that CNI plugins give to new pods.
# @param wireguard Copies of configurations of wg-quick, with the MTU that fits.
# @param limits Stops an unexpectedly large change.
# @param allow Findings that are known and accepted, each with the reason.
# @param allow_any_sysctl Whether `sysctl` may name keys outside of `net.`.
# @param owner Who owns what is declared here. It names the drop-in too.
# @param persist Whether sysctls are written to a drop-in in /etc/sysctl.d, so that they hold at boot.
# @param prune Whether what netkeel wrote and is declared no longer is put back.
#
# @param install How the program comes to the host: as a package, as a file, or not by this module.
# @param package_name The package.
# @param package_ensure Its version, or what else a package can be.
# @param source Where the program is taken from when it is installed as a file.
# @param binary Where the program is.
# @param directory The directory of the documents.
# @param purge_documents Whether documents that Puppet does not know are removed from it.
# @param converge How the host is brought to what is declared: by the type `netkeel_host`, by execs, or not by Puppet but by the
#   service alone.
# @param candidate_directory With execs: where the documents are written before they are compared, also under noop.
# @param timeout Seconds that a run of netkeel may take. What an apply did until then is undone.
# @param allow_management Whether Puppet may change the interface that carries the default route.
# @param allow_lossy Whether Puppet may write what cannot be undone exactly.
# @param verify_reach Targets, as HOST or HOST:PORT, that must answer after an apply if they did before; else it is undone.
# @param manage_service Whether the units are installed and the service runs.
# @param service_ensure Whether the service runs.
# @param service_enable Whether service and boot unit are started at boot.
# @param service_options Options of `netkeel run`.
class netkeel (
  Hash[String[1], Optional[Netkeel::Kind::Sysctl]] $sysctl = {},
  Hash[String[1], Optional[Netkeel::Kind::Link]] $link = {},
  Hash[Netkeel::Interface, Optional[Netkeel::Kind::Tunnel]] $tunnel = {},
  Hash[String[1], Optional[Netkeel::Kind::Nflog]] $nflog = {},
  Optional[Netkeel::Kind::Replicate] $replicate = undef,
  Hash[String[1], Optional[Netkeel::Kind::Cni]] $cni = {},
  Hash[Netkeel::Interface, Optional[Netkeel::Kind::Wireguard]] $wireguard = {},
  Netkeel::Kind::Limits $limits = {},
  Hash[Pattern[/\ANK[0-9]{3}\z/], Optional[String[1]]] $allow = {},
  Boolean $allow_any_sysctl = false,
  Netkeel::Owner $owner = 'default',
  Boolean $persist = true,
  Boolean $prune = false,

  Enum['package', 'file', 'none'] $install = 'package',
  String[1] $package_name = 'netkeel',
  String[1] $package_ensure = 'installed',
  Optional[Variant[String[1], Array[String[1], 1]]] $source = undef,
  Netkeel::Absolute_path $binary = '/usr/local/bin/netkeel',
  Netkeel::Absolute_path $directory = '/etc/netkeel/desired.d',
  Boolean $purge_documents = true,
  Enum['type', 'exec', 'service'] $converge = 'type',
  Netkeel::Absolute_path $candidate_directory = '/var/cache/netkeel-candidate.d',
  Integer[1, 280] $timeout = 60,
  Boolean $allow_management = false,
  Boolean $allow_lossy = false,
  Array[Pattern[/\A[A-Za-z0-9.:\[\]-]+\z/]] $verify_reach = [],
  Boolean $manage_service = true,
  Enum['running', 'stopped'] $service_ensure = 'running',
  Boolean $service_enable = true,
  Array[String[1]] $service_options = [],
) {
  if $converge == 'service' and !($manage_service and $service_ensure == 'running') {
    fail('netkeel: with `converge: service` nothing would keep the host but the service, which is not to run')
  }

  contain netkeel::install
  contain netkeel::config
  contain netkeel::converge
  contain netkeel::service

  Class['netkeel::install'] -> Class['netkeel::config'] -> Class['netkeel::converge'] -> Class['netkeel::service']
}
