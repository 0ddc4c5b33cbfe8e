//! The writes netkeel can do: a closed set, since the real and the model kernel must each handle
//! every one. Shown, an op is the command an operator would type.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::fact::Value;
use crate::link_name::LinkName;
use crate::netns::Netns;
use crate::nflog::{EntryName, ForeignRule, Rules, TABLE, Verb};
use crate::snapshot::Sandbox;
use crate::sysctl_key::SysctlKey;
use crate::tunnel_mode::TunnelMode;

/// The interface an op is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The namespace.
    pub netns: Netns,
    /// The index that bore the name when the plan was made; 0 for an interface that the same plan
    /// makes. Executing refuses when the index no longer bears the name.
    pub index: u32,
    /// The name.
    pub name: LinkName,
}

/// The other end of a veth that an op is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodTarget {
    /// Its namespace.
    pub sandbox: Sandbox,
    /// Its index there; executing refuses when it no longer bears the name.
    pub index: u32,
    /// Its name there.
    pub name: LinkName,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Puts a file in place: temporary file in the same directory, fsync, rename.
    WriteFile {
        /// Absolute path.
        path: Arc<Path>,
        /// The whole text.
        content: Arc<str>,
        /// Permission bits.
        mode: u32,
    },
    /// Removes a file.
    RemoveFile {
        /// Absolute path.
        path: Arc<Path>,
    },
    /// Sets the `mtu` of the plugins of a type in a CNI configuration and keeps all its other
    /// bytes: the same replacement of the file as [`Op::WriteFile`]. An edit and not a text, since
    /// the file may hold a token.
    SetPluginMtu {
        /// Absolute path.
        path: Arc<Path>,
        /// The `type` of the plugins.
        plugin: Arc<str>,
        /// What stands there now: executing refuses when it is neither this nor `mtu`.
        was: Option<Value>,
        /// Bytes, or whatever stood there before; none takes the key away.
        mtu: Option<Value>,
    },
    /// Makes an external tunnel, down and without addresses, and waits for udev to settle.
    CreateTunnel {
        /// Namespace and name; the index is not known yet.
        target: Target,
        /// The kind.
        mode: TunnelMode,
    },
    /// Deletes a device and makes an external tunnel of its name.
    RecreateTunnel {
        /// The device to delete.
        target: Target,
        /// The kind of the new one.
        mode: TunnelMode,
    },
    /// Deletes a device.
    DeleteLink {
        /// The device.
        target: Target,
    },
    /// Gives an address to an interface.
    AddAddress {
        /// The interface.
        target: Target,
        /// Address with prefix length.
        address: IpNet,
    },
    /// Takes an address away.
    RemoveAddress {
        /// The interface.
        target: Target,
        /// Address with prefix length.
        address: IpNet,
    },
    /// Sets the MTU.
    SetMtu {
        /// The interface.
        target: Target,
        /// Bytes.
        mtu: u32,
    },
    /// Sets the MTU of a veth's other end, in a pod.
    SetPodMtu {
        /// The end in this namespace.
        target: Target,
        /// The other one.
        pod: Box<PodTarget>,
        /// Bytes.
        mtu: u32,
    },
    /// Sets the MTU of a route in a pod, which has one of its own; all else of the route stays.
    SetPodRouteMtu {
        /// The end in this namespace.
        target: Target,
        /// The end in the pod, by which the route leads.
        pod: Box<PodTarget>,
        /// Where it leads.
        destination: IpNet,
        /// The rest of the route, as `ip route` takes it.
        rest: Arc<str>,
        /// What it is now, bytes.
        was: u32,
        /// Bytes.
        mtu: u32,
    },
    /// Sets administratively up or down.
    SetUp {
        /// The interface.
        target: Target,
        /// Up.
        up: bool,
    },
    /// Sets the transmit queue length.
    SetTxQueueLength {
        /// The interface.
        target: Target,
        /// Packets.
        packets: u32,
    },
    /// Sets or, when empty, removes the alias.
    SetAlias {
        /// The interface.
        target: Target,
        /// The alias.
        alias: Arc<str>,
    },
    /// Writes a sysctl.
    WriteSysctl {
        /// The namespace.
        netns: Netns,
        /// The key.
        key: SysctlKey,
        /// The value, vectors with single blanks.
        value: Arc<str>,
        /// The interface the key belongs to: its index is checked before the write.
        link: Option<Target>,
    },
    /// Gives an entry of `nflog` its rules, in place of those it has.
    SetRules {
        /// The namespace.
        netns: Netns,
        /// The entry.
        name: EntryName,
        /// Its rules.
        rules: Rules,
    },
    /// Takes the rules of an entry of `nflog` away.
    RemoveRules {
        /// The namespace.
        netns: Netns,
        /// The entry.
        name: EntryName,
    },
    /// Takes rules of others away.
    RemoveForeignRules {
        /// The namespace.
        netns: Netns,
        /// The rules.
        rules: Vec<ForeignRule>,
    },
    /// Puts rules of others back where they were.
    RestoreForeignRules {
        /// The namespace.
        netns: Netns,
        /// The rules, in the order of their places.
        rules: Vec<ForeignRule>,
    },
}

/// When an op is done. The order is the declaration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Files first: what they say is applied by udev to devices that are made next.
    Files,
    /// Devices and their addresses.
    Create,
    /// Routes whose MTU falls.
    LowerRoutes,
    /// Interfaces whose MTU falls or that go down, child before parent.
    LowerLinks,
    /// Sysctls and the attributes that order does not matter to.
    Sysctls,
    /// Interfaces whose MTU rises or that come up, parent before child.
    RaiseLinks,
    /// Routes whose MTU rises.
    RaiseRoutes,
    /// What goes away.
    Delete,
}

impl Op {
    /// It is about a file, and so outlives a boot.
    pub fn is_durable(&self) -> bool {
        matches!(
            self,
            Op::WriteFile { .. } | Op::RemoveFile { .. } | Op::SetPluginMtu { .. }
        )
    }

    /// The whole command, for a shell: shown, a file has its name only.
    pub fn command(&self) -> String {
        match self {
            Op::WriteFile { path, content, mode } => {
                let path = path.display().to_string();
                let path = Quoted(&path);
                format!("printf %s {} > {path} && chmod {mode:o} {path}", Quoted(content))
            }
            Op::RemoveFile { path } => format!("rm -f {}", Quoted(&path.display().to_string())),
            Op::SetPluginMtu { path, .. } => {
                let path = path.display().to_string();
                let temporary = format!("{path}.tmp");
                let (path, temporary) = (Quoted(&path), Quoted(&temporary));
                format!(
                    "{self} > {temporary} && chown --reference={path} {temporary} && chmod --reference={path} {temporary} && mv {temporary} {path}"
                )
            }
            other => other.to_string(),
        }
    }

    /// The interface the op is for.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::SetRules { .. }
            | Op::RemoveRules { .. }
            | Op::RemoveForeignRules { .. }
            | Op::RestoreForeignRules { .. } => None,
            Op::WriteSysctl { link, .. } => link.as_ref(),
            Op::CreateTunnel { target, .. }
            | Op::RecreateTunnel { target, .. }
            | Op::DeleteLink { target }
            | Op::AddAddress { target, .. }
            | Op::RemoveAddress { target, .. }
            | Op::SetMtu { target, .. }
            | Op::SetPodMtu { target, .. }
            | Op::SetPodRouteMtu { target, .. }
            | Op::SetUp { target, .. }
            | Op::SetTxQueueLength { target, .. }
            | Op::SetAlias { target, .. } => Some(target),
        }
    }

    /// The namespace the op is for; none for a file.
    pub fn netns(&self) -> Option<&Netns> {
        match self {
            Op::WriteSysctl { netns, .. }
            | Op::SetRules { netns, .. }
            | Op::RemoveRules { netns, .. }
            | Op::RemoveForeignRules { netns, .. }
            | Op::RestoreForeignRules { netns, .. } => Some(netns),
            _ => self.target().map(|target| &target.netns),
        }
    }
}

/// `ip`, in the namespace of the target.
struct Ip<'a>(&'a Netns);

impl fmt::Display for Ip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => write!(f, "ip -n {name}"),
            None => f.write_str("ip"),
        }
    }
}

/// What begins a command that is run in a namespace.
struct Inside<'a>(&'a Netns);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => write!(f, "ip netns exec {name} "),
            None => Ok(()),
        }
    }
}

/// A command for each rule.
fn commands(f: &mut fmt::Formatter<'_>, netns: &Netns, rules: &[ForeignRule], verb: Verb) -> fmt::Result {
    for (number, rule) in rules.iter().enumerate() {
        let and = if number > 0 { " && " } else { "" };
        write!(f, "{and}{}{}", Inside(netns), rule.command(verb))?;
    }
    Ok(())
}

/// A program in the namespace of a pod.
struct InPod<'a>(&'a Sandbox);

impl fmt::Display for InPod<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nsenter --net={}", Quoted(self.0.path.display().to_string()))
    }
}

/// A word quoted for a shell, where it needs to be.
pub(crate) struct Quoted<T>(
    /// The word.
    pub(crate) T,
);

impl<T: AsRef<str>> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0.as_ref();
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"@%_+=:,./-".contains(&c);
        if !word.is_empty() && word.bytes().all(plain) {
            f.write_str(word)
        } else {
            write!(f, "'{}'", word.replace('\'', r"'\''"))
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name(target: &Target) -> Quoted<Cow<'_, str>> {
            Quoted(target.name.as_text())
        }
        fn pod_name(pod: &PodTarget) -> Quoted<Cow<'_, str>> {
            Quoted(pod.name.as_text())
        }
        match self {
            Op::WriteFile { path, .. } => write!(f, "write {}", path.display()),
            Op::RemoveFile { path } => write!(f, "rm {}", path.display()),
            Op::SetPluginMtu {
                path, plugin, mtu, ..
            } => {
                let below = if &**plugin == "flannel" { ".delegate" } else { "" };
                // Wherever a configuration has plugins: not the `ipam` of one, which may have its type.
                let plugins = "., (.. | objects | .plugins[]?, .delegates[]?, .delegate)";
                let place = format!(r#"({plugins} | objects | select(.type == "{plugin}")){below}.mtu"#);
                let filter = match mtu {
                    Some(mtu) => format!("{place} = {mtu}"),
                    None => format!("del({place})"),
                };
                write!(f, "jq {} {}", Quoted(filter), Quoted(path.display().to_string()))
            }
            Op::CreateTunnel { target, mode } => {
                write!(
                    f,
                    "{} link add name {} type {mode} external",
                    Ip(&target.netns),
                    name(target)
                )
            }
            Op::RecreateTunnel { target, mode } => {
                let (ip, name) = (Ip(&target.netns), name(target));
                write!(
                    f,
                    "{ip} link del dev {name} && {ip} link add name {name} type {mode} external"
                )
            }
            Op::DeleteLink { target } => write!(f, "{} link del dev {}", Ip(&target.netns), name(target)),
            Op::AddAddress { target, address } => {
                write!(f, "{} addr add {address} dev {}", Ip(&target.netns), name(target))
            }
            Op::RemoveAddress { target, address } => {
                write!(f, "{} addr del {address} dev {}", Ip(&target.netns), name(target))
            }
            Op::SetMtu { target, mtu } => {
                write!(f, "{} link set dev {} mtu {mtu}", Ip(&target.netns), name(target))
            }
            Op::SetPodMtu { pod, mtu, .. } => {
                write!(
                    f,
                    "{} ip link set dev {} mtu {mtu}",
                    InPod(&pod.sandbox),
                    pod_name(pod)
                )
            }
            Op::SetPodRouteMtu {
                pod,
                destination,
                rest,
                mtu,
                ..
            } => {
                let blank = if rest.is_empty() { "" } else { " " };
                write!(
                    f,
                    "{} ip route change {destination} dev {}{blank}{rest} mtu {mtu}",
                    InPod(&pod.sandbox),
                    pod_name(pod)
                )
            }
            Op::SetUp { target, up } => {
                write!(
                    f,
                    "{} link set dev {} {}",
                    Ip(&target.netns),
                    name(target),
                    if *up { "up" } else { "down" }
                )
            }
            Op::SetTxQueueLength { target, packets } => {
                write!(
                    f,
                    "{} link set dev {} txqueuelen {packets}",
                    Ip(&target.netns),
                    name(target)
                )
            }
            Op::SetAlias { target, alias } => {
                write!(
                    f,
                    "{} link set dev {} alias {}",
                    Ip(&target.netns),
                    name(target),
                    Quoted(alias)
                )
            }
            Op::WriteSysctl {
                netns, key, value, ..
            } => {
                write!(
                    f,
                    "{}sysctl -w {}",
                    Inside(netns),
                    Quoted(format!("{key}={value}"))
                )
            }
            Op::SetRules { netns, name, rules } => {
                write!(f, "{}nft {}", Inside(netns), Quoted(rules.nft(name)))
            }
            Op::RemoveRules { netns, name } => {
                let chain = name.chain();
                write!(f, "{}nft delete chain inet {TABLE} {chain}", Inside(netns))
            }
            Op::RemoveForeignRules { netns, rules } => commands(f, netns, rules, Verb::Delete),
            Op::RestoreForeignRules { netns, rules } => commands(f, netns, rules, Verb::Insert),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_reads_as_the_command_an_operator_would_type() {
        let target = |name: &str| Target {
            netns: Netns::CURRENT,
            index: 7,
            name: name.parse().unwrap(),
        };
        let key = |text: &str| text.parse().unwrap();
        let ops = [
            Op::CreateTunnel {
                target: target("ipip0"),
                mode: TunnelMode::Ipip,
            },
            Op::RecreateTunnel {
                target: target("ipip60"),
                mode: TunnelMode::Ip6tnl,
            },
            Op::AddAddress {
                target: target("ipip0"),
                address: "127.0.0.42/32".parse().unwrap(),
            },
            Op::SetMtu {
                target: Target {
                    netns: Netns::named("pod"),
                    ..target("eth0")
                },
                mtu: 1460,
            },
            Op::SetUp {
                target: target("ipip0"),
                up: true,
            },
            Op::SetAlias {
                target: target("eth0"),
                alias: "it's up".into(),
            },
            Op::WriteSysctl {
                netns: Netns::CURRENT,
                key: key("net.ipv4.tcp_rmem"),
                value: "4096 131072 6291456".into(),
                link: None,
            },
            Op::WriteSysctl {
                netns: Netns::named("pod"),
                key: key("net/ipv4/conf/eth0.100/rp_filter"),
                value: "1".into(),
                link: None,
            },
            Op::RemoveFile {
                path: Path::new("/etc/sysctl.d/90-netkeel.conf").into(),
            },
            Op::SetPluginMtu {
                path: Path::new("/etc/cni/net.d/10-calico.conflist").into(),
                plugin: "calico".into(),
                was: None,
                mtu: Some(Value::Number(1460)),
            },
        ];
        let commands: Vec<String> = ops.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(commands.join("\n"), @r#"
        ip link add name ipip0 type ipip external
        ip link del dev ipip60 && ip link add name ipip60 type ip6tnl external
        ip addr add 127.0.0.42/32 dev ipip0
        ip -n pod link set dev eth0 mtu 1460
        ip link set dev ipip0 up
        ip link set dev eth0 alias 'it'\''s up'
        sysctl -w 'net.ipv4.tcp_rmem=4096 131072 6291456'
        ip netns exec pod sysctl -w net/ipv4/conf/eth0.100/rp_filter=1
        rm /etc/sysctl.d/90-netkeel.conf
        jq '(., (.. | objects | .plugins[]?, .delegates[]?, .delegate) | objects | select(.type == "calico")).mtu = 1460' /etc/cni/net.d/10-calico.conflist
        "#);
    }
}
