//! Encrypted values: eyaml, SOPS and Ansible's vault.

/// The hint for an encrypted value.
pub const HINT: &str =
    "netkeel does not decrypt values: store the value in clear text, or set it in a later file";

/// The prefix of Ansible's vault, for a value or a whole file.
const VAULT: &str = "$ANSIBLE_VAULT;";

/// Whether a text is encrypted by Ansible's vault.
pub fn of_vault(text: &str) -> bool {
    text.trim_start().starts_with(VAULT)
}

/// The tool that encrypted a text or a part of it.
pub fn cipher(text: &str) -> Option<&'static str> {
    if of_vault(text) {
        return Some("Ansible's vault");
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("ENC[") {
        let Some((inside, behind)) = after.split_once(']') else {
            break;
        };
        let inside = inside.rsplit("ENC[").next().unwrap_or(inside);
        if inside.starts_with("AES256_GCM,") {
            return Some("SOPS");
        }
        if of_eyaml(inside) {
            return Some("eyaml");
        }
        rest = behind;
    }
    None
}

/// Whether this is the content of eyaml's brackets: an optional method, and base64 with the blanks that
/// YAML kept.
fn of_eyaml(inside: &str) -> bool {
    let text = match inside.split_once(',') {
        Some((method, text)) if method.bytes().all(|byte| byte.is_ascii_alphanumeric()) => text,
        _ => inside,
    };
    let base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || byte.is_ascii_whitespace();
    !text.trim().is_empty() && text.bytes().all(base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_is_told_from_what_looks_like_it() {
        for text in [
            "ENC[PKCS7,MIIBeQYJKoZIhvcNAQ==]",
            "uplink ENC[GPG,hQIMA/ \n abc+] of ENC[",
            "ENC[ or ENC[MIIBeQ==]",
        ] {
            assert_eq!(cipher(text), Some("eyaml"), "{text}");
        }
        assert_eq!(
            cipher("ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]"),
            Some("SOPS")
        );
        let vault = "\n$ANSIBLE_VAULT;1.1;AES256\n6638\n";
        assert_eq!(cipher(vault), Some("Ansible's vault"));
        for text in [
            "",
            "ENC[",
            "ENC[]",
            "ENC[PKCS7,]",
            "ENC[port-3]",
            "a $ANSIBLE_VAULT;",
        ] {
            assert_eq!(cipher(text), None, "{text}");
        }
    }
}
