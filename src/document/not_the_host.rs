//! Why the files of the host, such as its /etc/sysctl.d, are not those of a document.

/// Why a document must not write the files of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTheHost {
    /// The document is for another network namespace than the host's.
    Namespace,
    /// It could not be found out which network namespace this is.
    Unknown,
}

impl NotTheHost {
    /// The reason, for the answer to the question whether this is the host; `None` for the host.
    pub fn of(is_of_a_host: Option<bool>) -> Option<Self> {
        match is_of_a_host {
            Some(true) => None,
            Some(false) => Some(NotTheHost::Namespace),
            None => Some(NotTheHost::Unknown),
        }
    }

    /// The reason as a sentence without a full stop.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            NotTheHost::Namespace => "this is not the network namespace of the host",
            NotTheHost::Unknown => {
                "netkeel cannot tell whether this is the network namespace of the host, since it cannot read /proc/1/ns/net"
            }
        }
    }

    /// The remedy.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            NotTheHost::Namespace => "declare it for the host",
            NotTheHost::Unknown => {
                "if this network is the host's, as in a container that is a node, set `host_network: true`; else run netkeel on the host itself, as root with CAP_SYS_PTRACE or with Linux 5.14 or newer"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_the_host_is_the_host() {
        assert_eq!(NotTheHost::of(Some(true)), None);
        assert_eq!(NotTheHost::of(Some(false)), Some(NotTheHost::Namespace));
        assert_eq!(NotTheHost::of(None), Some(NotTheHost::Unknown));
    }
}
