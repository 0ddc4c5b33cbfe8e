# @summary An MTU budget: the underlay, the layers of encapsulation from outer to inner, and a margin
type Netkeel::Budget = Struct[{
  underlay         => Variant[Netkeel::Bytes, String[1], Struct[{ probe => String[1] }]],
  Optional[layers] => Array[String[1]],
  Optional[margin] => Variant[Integer[0, 65535], Netkeel::Decimal],
  Optional[floor]  => Netkeel::Bytes,
}]
