"""What documents declare, as one: layered as netkeel layers them."""

from pathlib import Path

import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2, as netkeel reads it: `off` and `on` are words."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

FILTERS = {"off": 0, "strict": 1, "loose": 2, "false": 0, "true": 1}


def documents(paths):
    """The documents, later ones laid over earlier ones; `null` withdraws."""
    whole = {}
    for path in paths:
        whole = laid_over(whole, yaml.load(Path(path).read_text(encoding="utf-8"), Loader))
    return whole


def laid_over(below, above):
    """Maps are merged by key, anything else is replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = laid_over(merged.get(key), value)
        if value is None:
            del merged[key]
    return merged


def switch(value):
    """A yes or no, of any of its words."""
    return str(value).lower() in ("true", "yes", "on", "1")


def rp_filter(value):
    """A reverse path filter as the kernel counts it."""
    return FILTERS.get(str(value).lower(), value if isinstance(value, int) else None) if not str(value).isdigit() else int(value)


def entries(document, kind):
    """Name and settings of each entry of a kind."""
    return sorted((document.get(kind) or {}).items())


def sysctls(document):
    """Key in slash form and value of each sysctl, as the kernel prints it."""
    return [(slashes(key), words(value)) for key, value in entries(document, "sysctl")]


def slashes(key):
    """A key as a path: the first separator decides what the others mean."""
    dot, slash = key.find("."), key.find("/")
    if slash != -1 and (dot == -1 or slash < dot):
        return key
    return key.translate(str.maketrans("./", "/."))


def words(value):
    """The words of a value."""
    if isinstance(value, list):
        return [str(item) for item in value]
    # Booleans came as words of YAML.
    return [{"true": "1", "false": "0"}.get(word, word) for word in str(value).lower().split()]
