# @summary The value of a sysctl; a list for a vector
type Netkeel::Kind::Sysctl = Variant[Boolean, Integer, String, Array[Variant[Boolean, Integer, String], 1]]
