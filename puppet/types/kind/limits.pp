# @summary Limits that stop an unexpectedly large change
type Netkeel::Kind::Limits = Struct[{
  Optional[changes_per_minute] => Variant[Netkeel::Knocked_out, Integer[1, 1000000]],
  Optional[max_matches]        => Variant[Netkeel::Knocked_out, Integer[1, 1000000]],
}]
