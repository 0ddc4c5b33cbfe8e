# @summary Yes or no, also in the words of YAML 1.1
type Netkeel::Switch = Variant[Boolean, Enum['yes', 'no', 'on', 'off', 'true', 'false']]
