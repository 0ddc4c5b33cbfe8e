# @summary A private copy of a configuration of wg-quick, with the MTU that fits
type Netkeel::Kind::Wireguard = Struct[{
  source             => Pattern[/\A\//],
  target             => Pattern[/\A\//],
  mtu                => Netkeel::Mtu,
  Optional[required] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
