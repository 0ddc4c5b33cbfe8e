# @summary The MTU of a CNI plugin, in the configuration that the container runtime loads
type Netkeel::Kind::Cni = Struct[{
  plugin             => String[1],
  mtu                => Netkeel::Mtu,
  Optional[file]     => Optional[Variant[Netkeel::Knocked_out, Pattern[/\A\//]]],
  Optional[required] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
