"""The keys that are watched. Each takes any integer, so that a value tells which line wrote it; forwarding takes 0 and 1."""

LINKS = ["cali0", "wan0", "wan0.7"]
LATER = "later0"
UNTOUCHED = "9001"


def conf(slot, leaf, family="ipv4"):
    """The path of a setting of an interface, of `all` or of `default`."""
    return f"net/{family}/conf/{slot}/{leaf}"


def before_boot():
    """What each key has before a program runs, in the order in which they must be written: ip_forward writes others."""
    values = {"net/ipv4/ip_forward": "0", conf("all", "forwarding", "ipv6"): "0"}
    for slot in ["all", "default", *LINKS]:
        for leaf in ("rp_filter", "tag"):
            values[conf(slot, leaf)] = UNTOUCHED
        for family in ("ipv4", "ipv6"):
            values[conf(slot, "forwarding", family)] = "0"
    values[conf("all", "accept_redirects")] = UNTOUCHED
    values["net/ipv4/udp_rmem_min"] = UNTOUCHED
    return values


def of_later():
    """The keys of an interface that appears later."""
    return [conf(LATER, leaf) for leaf in ("rp_filter", "tag", "forwarding")] + [conf(LATER, "forwarding", "ipv6")]


def default_of(key):
    """The key whose value a new interface starts with."""
    return key.replace(f"/{LATER}/", "/default/")
