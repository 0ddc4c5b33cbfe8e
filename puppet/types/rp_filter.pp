# @summary A reverse path filter: off, strict or loose, 0, 1 or 2, or the booleans that YAML 1.1 makes of off and on
type Netkeel::Rp_filter = Variant[Enum['off', 'strict', 'loose', '0', '1', '2'], Integer[0, 2], Boolean]
