//! An op as the command that an operator would type.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use crate::mtu::PLUGINS_THAT_READ_TEXT;
use crate::name::link::LinkName;
use crate::name::netns::Netns;
use crate::name::sandbox::Sandbox;
use crate::nflog::entry_name::TABLE;
use crate::nflog::foreign::{ForeignRule, Verb};
use crate::op::copy_mtu::CopyMtu;
use crate::op::{Op, PodTarget, Target};
use crate::text::shell::{Escaped, Quoted, in_bash};
use crate::value::Value;

impl Op {
    /// The whole command, for a shell. `Display` shortens a file to its name.
    pub fn command(&self) -> String {
        match self {
            Op::WriteFile { path, content, mode } => {
                let path = path.display().to_string();
                let path = Quoted(&path);
                format!("printf %b {} > {path} && chmod {mode:o} {path}", Escaped(content))
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
            Op::SetWireguardMtu {
                source,
                path,
                to: CopyMtu::Bytes(mtu),
                ..
            } => {
                let to = path.display().to_string();
                let temporary = format!("{to}.tmp");
                let (to, temporary) = (Quoted(&to), Quoted(&temporary));
                let edited = with_mtu(source, *mtu);
                format!("(umask 077 && {edited} > {temporary} && mv {temporary} {to})")
            }
            other => other.to_string(),
        }
    }
}

/// A command that prints a WireGuard configuration with its own MTU.
fn with_mtu(source: &Path, mtu: u32) -> String {
    let script =
        format!(r"/^[[:space:]]*MTU[[:space:]]*=/Id; s/^[[:space:]]*\[Interface\].*/&\nMTU = {mtu}/I");
    format!("sed {} {}", Quoted(script), Quoted(source.display().to_string()))
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

/// The command prefix that runs a program in a namespace.
struct Inside<'a>(&'a Netns);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => write!(f, "ip netns exec {name} "),
            None => Ok(()),
        }
    }
}

/// Joins one command per rule.
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

/// The name of an interface, quoted for a shell.
pub struct Name(
    /// The name.
    pub LinkName,
);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_text() {
            Cow::Borrowed(name) => Quoted(name).fmt(f),
            Cow::Owned(_) => in_bash(f, self.0.as_bytes()),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name(target: &Target) -> Name {
            Name(target.name)
        }
        fn pod_name(pod: &PodTarget) -> Name {
            Name(pod.name)
        }
        match self {
            Op::WriteFile { path, .. } => write!(f, "write {}", Quoted(path.display().to_string())),
            Op::RemoveFile { path } => write!(f, "rm {}", Quoted(path.display().to_string())),
            Op::SetPluginMtu {
                path, plugin, mtu, ..
            } => {
                let below = if &**plugin == "flannel" { ".delegate" } else { "" };
                // Every place that holds plugins. The `ipam` of a plugin is excluded, since it may
                // have the same type.
                let plugins = "., (.. | objects | .plugins[]?, .delegates[]?, .delegate)";
                let place = format!(r#"({plugins} | objects | select(.type == "{plugin}")){below}.mtu"#);
                let filter = match mtu {
                    Some(Value::Number(mtu)) if PLUGINS_THAT_READ_TEXT.contains(&&**plugin) => {
                        format!(r#"{place} = "{mtu}""#)
                    }
                    Some(mtu) => format!("{place} = {mtu}"),
                    None => format!("del({place})"),
                };
                write!(f, "jq {} {}", Quoted(filter), Quoted(path.display().to_string()))
            }
            Op::SetWireguardMtu {
                source,
                path,
                to: wanted,
                ..
            } => {
                let to = Quoted(path.display().to_string());
                match wanted {
                    CopyMtu::Remove => write!(f, "rm -f {to}"),
                    CopyMtu::AsSource => {
                        let from = Quoted(source.display().to_string());
                        write!(f, "install -m 600 {from} {to}")
                    }
                    CopyMtu::Bytes(mtu) => {
                        write!(f, "(umask 077 && {} > {to})", with_mtu(source, *mtu))
                    }
                }
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
            Op::DeleteLink { target, .. } => write!(f, "{} link del dev {}", Ip(&target.netns), name(target)),
            Op::AddAddress { target, address } => {
                write!(f, "{} addr add {address} dev {}", Ip(&target.netns), name(target))
            }
            Op::RemoveAddress { target, address } => {
                write!(f, "{} addr del {address} dev {}", Ip(&target.netns), name(target))
            }
            // In pieces: a plan of a thousand interfaces formats each of these two ops two thousand
            // times, and `write!` takes three times as long.
            Op::SetMtu { target, mtu } => {
                Ip(&target.netns).fmt(f)?;
                f.write_str(" link set dev ")?;
                name(target).fmt(f)?;
                f.write_str(" mtu ")?;
                mtu.fmt(f)
            }
            Op::SetPodMtu { pod, mtu, .. } => {
                write!(
                    f,
                    "{} ip link set dev {} mtu {mtu}",
                    InPod(&pod.sandbox),
                    pod_name(pod)
                )
            }
            Op::SetRouteMetric {
                target,
                pod,
                destination,
                rest,
                next_hops,
                metric,
                locked,
                to,
                ..
            } => {
                let name = match pod {
                    Some(pod) => {
                        write!(f, "{} ip route change {destination}", InPod(&pod.sandbox))?;
                        pod_name(pod)
                    }
                    None => {
                        write!(f, "{} route change {destination}", Ip(&target.netns))?;
                        name(target)
                    }
                };
                let lock = if *locked { " lock" } else { "" };
                // `ip route` does not show a metric of 0.
                let metric = format!(" {metric}{lock} {}", to.unwrap_or_default());
                // `nexthop` comes last (iproute2 ip/iproute.c), and each next hop has its own `dev`.
                if *next_hops {
                    return write!(f, "{metric} {rest}");
                }
                let blank = if rest.is_empty() { "" } else { " " };
                write!(f, " dev {name}{blank}{rest}{metric}")
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
                Inside(netns).fmt(f)?;
                f.write_str("sysctl -w ")?;
                // Commands are logged.
                let shown = value.clone().secret_if(key.is_secret()).to_string();
                match key.bytes() {
                    Cow::Borrowed(_) => Quoted([&*key.dotted(), "=", &*shown].concat()).fmt(f),
                    Cow::Owned(path) => in_bash(f, &[&*path, b"=", shown.as_bytes()].concat()),
                }
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
    #[test]
    fn a_command_has_no_secret() {
        for key in ["net.ipv4.tcp_fastopen_key", "net.ipv6.conf.eth0.stable_secret"] {
            let op = Op::WriteSysctl {
                netns: Netns::CURRENT,
                key: key.parse().unwrap(),
                value: "0123-4567".into(),
                link: None,
            };
            assert_eq!(op.to_string(), format!("sysctl -w '{key}=(secret)'"), "{key}");
        }
    }

    use super::*;
    use crate::fact::Value;
    use crate::name::route::Metric;
    use crate::name::tunnel::TunnelKind;

    #[test]
    fn an_op_reads_as_the_command_an_operator_would_type() {
        let target = |name: &str| Target {
            netns: Netns::CURRENT,
            index: 7,
            name: name.parse().unwrap(),
        };
        let key = |text: &str| text.parse().unwrap();
        let metric = |metric, to, next_hops| Op::SetRouteMetric {
            target: target("eth0"),
            pod: None,
            destination: "10.0.0.0/8 table 100".parse().unwrap(),
            rest: match next_hops {
                true => "nexthop via 192.0.2.1 dev eth0",
                false => "via 192.0.2.1",
            }
            .into(),
            next_hops,
            metric,
            locked: next_hops,
            was: None,
            to,
        };
        let ops = [
            Op::CreateTunnel {
                target: target("ipip0"),
                mode: TunnelKind::Ipip,
            },
            Op::RecreateTunnel {
                target: target("ipip60"),
                mode: TunnelKind::Ip6tnl,
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
            metric(Metric::Mtu, Some(1400), false),
            metric(Metric::Window, None, false),
            metric(Metric::Advmss, Some(1360), true),
            Op::SetAlias {
                target: target("eth0"),
                alias: "it's up".into(),
            },
            Op::SetAlias {
                target: target("e\u{1b}[2J"),
                alias: "it's\nü\\".into(),
            },
            Op::SetMtu {
                target: Target {
                    name: LinkName::new(b"veth\xff").unwrap(),
                    ..target("eth0")
                },
                mtu: 1460,
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
            Op::SetWireguardMtu {
                source: Path::new("/etc/wireguard/wg0.conf").into(),
                path: Path::new("/run/wireguard/wg0.conf").into(),
                was: None,
                to: CopyMtu::Bytes(1370),
            },
        ];
        let commands: Vec<String> = ops.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(commands.join("\n"), @r#"
        ip link add name ipip0 type ipip external
        ip link del dev ipip60 && ip link add name ipip60 type ip6tnl external
        ip addr add 127.0.0.42/32 dev ipip0
        ip -n pod link set dev eth0 mtu 1460
        ip link set dev ipip0 up
        ip route change 10.0.0.0/8 table 100 dev eth0 via 192.0.2.1 mtu 1400
        ip route change 10.0.0.0/8 table 100 dev eth0 via 192.0.2.1 window 0
        ip route change 10.0.0.0/8 table 100 advmss lock 1360 nexthop via 192.0.2.1 dev eth0
        ip link set dev eth0 alias 'it'\''s up'
        ip link set dev $'e\x1b[2J' alias $'it\'s\nü\\'
        ip link set dev $'veth\xff' mtu 1460
        sysctl -w 'net.ipv4.tcp_rmem=4096 131072 6291456'
        ip netns exec pod sysctl -w net/ipv4/conf/eth0.100/rp_filter=1
        rm /etc/sysctl.d/90-netkeel.conf
        jq '(., (.. | objects | .plugins[]?, .delegates[]?, .delegate) | objects | select(.type == "calico")).mtu = 1460' /etc/cni/net.d/10-calico.conflist
        (umask 077 && sed '/^[[:space:]]*MTU[[:space:]]*=/Id; s/^[[:space:]]*\[Interface\].*/&\nMTU = 1370/I' /etc/wireguard/wg0.conf > /run/wireguard/wg0.conf)
        "#);
    }

    #[test]
    fn a_file_is_written_by_any_shell() {
        let op = Op::WriteFile {
            path: Path::new("/etc/sysctl.d/90-netkeel.conf").into(),
            content: "# it's\n\\d\t\u{1b}[2J\n".into(),
            mode: 0o640,
        };
        insta::assert_snapshot!(op.command(), @r"printf %b '# it'\''s\n\\d\t\0033[2J\n' > /etc/sysctl.d/90-netkeel.conf && chmod 640 /etc/sysctl.d/90-netkeel.conf");
    }
}
