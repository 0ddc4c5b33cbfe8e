# @summary An MTU: bytes, or a budget
type Netkeel::Mtu = Variant[Netkeel::Bytes, Netkeel::Budget]
