//! Errors of the kernel as netkeel reports them: the errno with its name, the text that netlink adds,
//! and what to do about those that have a known cause.

use nix::errno::Errno;

use netkeel_core::error::{Error, ErrorKind};

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, by number.
    pub errno: Errno,
    /// Why, in the kernel's words (NLMSGERR_ATTR_MSG), where it has any.
    pub text: Option<String>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal { errno, text: None }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)).into()
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let errno = refusal.errno;
        let kind = match errno {
            Errno::EPERM | Errno::EACCES | Errno::EROFS => ErrorKind::Permission,
            Errno::ENODEV | Errno::ENOENT | Errno::ENXIO | Errno::EADDRNOTAVAIL => ErrorKind::Missing,
            Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT | Errno::ENOSYS => {
                ErrorKind::Unsupported
            }
            Errno::EILSEQ | Errno::EBADMSG => ErrorKind::Unreadable,
            _ => ErrorKind::Refused,
        };
        let mut message = format!("{} ({errno:?})", errno.desc());
        if let Some(text) = refusal.text {
            message = format!("{message}: {}", text.trim_end_matches('.'));
        }
        let error = Error::new(kind, message);
        match errno {
            Errno::EPERM => error.hint("this needs root, or CAP_NET_ADMIN in the namespace"),
            Errno::EROFS => error
                .hint("the file system is mounted read-only here, as in an unprivileged container")
                .hint("netkeel's systemd units write elsewhere only with a drop-in that has `ReadWritePaths=` and the directory"),
            _ => error,
        }
    }
}

/// An error of the file system or the kernel, as netkeel reports it.
pub fn error(cause: impl Into<Refusal>) -> Error {
    cause.into().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_number_name_and_the_kernels_words() {
        let refusal = Refusal {
            errno: Errno::EINVAL,
            text: Some("mtu greater than device maximum.".into()),
        };
        let error = Error::from(refusal);
        assert_eq!(
            (error.kind, error.message.as_str()),
            (
                ErrorKind::Refused,
                "Invalid argument (EINVAL): mtu greater than device maximum"
            )
        );
        assert_eq!(super::error(Errno::EPERM).kind, ErrorKind::Permission);
        assert_eq!(super::error(Errno::ENODEV).kind, ErrorKind::Missing);
    }
}
