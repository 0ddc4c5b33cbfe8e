# @summary Keeps a host's network path settings in sync with Hiera
#
# The sections of the document (`sysctl`, `link`, `tunnel`, ...) are parameters, which Hiera merges through its
# levels. They become a document in `directory`. The defines of this module add others, which override it. netkeel compares the
# host with all of them. Under `--noop` it prints the difference and writes nothing; otherwise it applies the documents, or
# rolls back and fails.
#
# Parameters are checked twice: by the types of this module when the catalog is compiled, and by netkeel when it
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
# @param link Settings of interfaces, by name or by a match.
# @param tunnel Tunnels in collect-metadata mode.
# @param route Metrics of routes that other programs add.
# @param nflog Rules that send ICMP "packet too big" to an NFLOG group.
# @param replicate Peers that get copies of ICMP "packet too big" while the service runs.
# @param probes Paths and services that the service measures each minute.
# @param cni The MTU that CNI plugins give to new pods.
# @param wireguard Copies of wg-quick configurations with the MTU that fits.
# @param limits Limits that stop an unexpectedly large change.
# @param allow Findings that are accepted, each with the reason.
# @param allow_any_sysctl Whether `sysctl` may name keys outside of `net.`.
# @param host_network Whether the network namespace is that of the host where netkeel cannot tell, as in a container that is
#   a node.
# @param owner The owner of the declared settings. It is part of the name of the drop-in.
# @param persist Whether sysctls are written to a drop-in in /etc/sysctl.d, so that they hold at boot.
# @param prune Whether settings that are no longer declared get their old values back.
#
# @param install How the program is installed: as a package, as a file, or not by this module.
# @param package_name The package.
# @param package_ensure Its version, or another state of a package.
# @param package_source A .deb or .rpm file on the host that the package is installed from. Without it the package comes from
#   the host's repositories.
# @param source The source of the program if it is installed as a file.
# @param binary The path of the program.
# @param directory The directory of the documents.
# @param purge_documents Whether Puppet removes documents that it does not manage.
# @param converge The way to apply the documents: the type `netkeel_host`, execs, or only the
#   service.
# @param candidate_directory With execs: the directory of the documents that are compared, also under noop.
# @param timeout Time limit of a netkeel run in seconds. An apply that exceeds it is rolled back.
# @param allow_management Whether Puppet may change the interface that carries the default route.
# @param allow_lossy Whether Puppet may make writes that cannot be undone exactly.
# @param verify_reach Targets (HOST or HOST:PORT) that must answer before an apply, else nothing is written, and after it, else
#   it is rolled back.
# @param manage_service Whether the service runs. Its units are those of the package if there is one; otherwise this module
#   installs them.
# @param service_ensure Whether the service runs.
# @param service_enable Whether the service and the boot unit are enabled.
# @param service_options Options of `netkeel run`.
# @param metrics_from Networks from which /metrics may be scraped, as `192.0.2.0/24`: the unit blocks all others. Give
#   `service_options` a `--listen` with an address that they reach.
# @param enter_pods Whether the service may enter pods, to set their ends of veths. Without a value it may if a match of
#   `link` sets the MTU of veths. Otherwise the drop-in that permits it is removed.
class netkeel (
  Hash[String[1], Optional[Netkeel::Kind::Sysctl]] $sysctl = {},
  Variant[Netkeel::Knocked_out, Hash[String[1], Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Link]]]] $link = {},
  Variant[Netkeel::Knocked_out, Hash[Netkeel::Interface, Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Tunnel]]]] $tunnel = {},
  Variant[Netkeel::Knocked_out, Hash[String[1], Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Route]]]] $route = {},
  Variant[Netkeel::Knocked_out, Hash[String[1], Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Nflog]]]] $nflog = {},
  Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Replicate]] $replicate = undef,
  Variant[Netkeel::Knocked_out, Hash[String[1], Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Probe]]]] $probes = {},
  Variant[Netkeel::Knocked_out, Hash[String[1], Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Cni]]]] $cni = {},
  Variant[Netkeel::Knocked_out, Hash[Netkeel::Interface, Optional[Variant[Netkeel::Knocked_out, Netkeel::Kind::Wireguard]]]] $wireguard = {},
  Variant[Netkeel::Knocked_out, Netkeel::Kind::Limits] $limits = {},
  Hash[Pattern[/\ANK[0-9]{3}\z/], Optional[String[1]]] $allow = {},
  Boolean $allow_any_sysctl = false,
  Boolean $host_network = false,
  Netkeel::Owner $owner = 'default',
  Boolean $persist = true,
  Boolean $prune = false,

  Enum['package', 'file', 'none'] $install = 'package',
  String[1] $package_name = 'netkeel',
  String[1] $package_ensure = 'installed',
  Optional[Pattern[/\A\/\S+\.(deb|rpm)\z/]] $package_source = undef,
  Optional[Variant[String[1], Array[String[1], 1]]] $source = undef,
  Netkeel::Absolute_path $binary = '/usr/bin/netkeel',
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
  Array[Pattern[/\A[0-9A-Fa-f.:]+(\/[0-9]{1,3})?\z/]] $metrics_from = [],
  Optional[Boolean] $enter_pods = undef,
) {
  if $converge == 'service' and !($manage_service and $service_ensure == 'running') {
    fail('netkeel: `converge: service` needs the service to run; set `manage_service` and `service_ensure: running`')
  }

  contain netkeel::install
  contain netkeel::config
  contain netkeel::converge
  contain netkeel::service

  Class['netkeel::install'] -> Class['netkeel::config'] -> Class['netkeel::converge'] -> Class['netkeel::service']
}
