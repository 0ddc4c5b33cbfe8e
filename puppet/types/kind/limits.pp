# @summary What stops a change that is larger than anybody meant
type Netkeel::Kind::Limits = Struct[{
  Optional[changes_per_minute] => Integer[1, 1000000],
  Optional[max_matches]        => Integer[1, 1000000],
}]
