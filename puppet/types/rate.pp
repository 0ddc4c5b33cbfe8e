# @summary A rate: how many in a second, and how many at once
type Netkeel::Rate = Struct[{
  Optional[per_second] => Integer[1, 100000000],
  Optional[burst]      => Integer[1, 100000000],
}]
