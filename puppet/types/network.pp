# @summary A network, or an address with its prefix length; netkeel checks it in full
type Netkeel::Network = Pattern[/\A[0-9a-fA-F:.]+(\/[0-9]{1,3})?\z/]
