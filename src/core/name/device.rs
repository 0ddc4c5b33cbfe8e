//! The identity of an interface: another one may have its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::text::from_str;

/// One boot of a host (`/proc/sys/kernel/random/boot_id`); that of a model is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootId(u128);

impl FromStr for BootId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.replace('-', "");
        match u128::from_str_radix(&digits, 16) {
            Ok(id) if digits.len() == 32 => Ok(BootId(id)),
            Ok(_) | Err(_) => Err(Error::new(
                ErrorKind::Input,
                "the id of a boot has 32 hexadecimal digits",
            )),
        }
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for BootId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BootId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str::deserialize(deserializer)
    }
}

/// One interface of a namespace. The kernel counts the indices of a namespace up and gives none twice, unless a program
/// asks for an index; so an index stands for one interface during a boot, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceId {
    /// The boot in which it exists.
    pub boot: BootId,
    /// Its index.
    pub index: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_boot_is_read_as_the_kernel_prints_it() {
        let id: BootId = "0f3c7f0e-5c1d-4b8e-9a57-3f1e2d4c5b6a\n".trim().parse().unwrap();
        assert_eq!(id.to_string(), "0f3c7f0e5c1d4b8e9a573f1e2d4c5b6a");
        assert_eq!(id.to_string().parse::<BootId>().unwrap(), id);
        assert!("0f3c".parse::<BootId>().is_err() && "".parse::<BootId>().is_err());
    }
}
