# @summary An MTU in bytes of the IP packet, 68 to 65535
type Netkeel::Bytes = Variant[Integer[68, 65535], Netkeel::Decimal]
