//! Settles the wants of pods' ends of veths once the MTUs of the host's ends are known.

use std::fmt::Write as _;

use crate::want::request::{PodMtu, PodMtuRequest, SkippedPod};
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;

impl Wants {
    /// Records the requests for the other ends of veths.
    pub(crate) fn wish_for_pods(&mut self, wishes: Vec<(LinkName, PodMtuRequest)>) {
        if self.pods.is_empty() {
            // Built in one step, like the wants of a match.
            self.pods = wishes.into_iter().collect();
        } else {
            self.pods.extend(wishes);
        }
    }

    /// Adds the wants for the other end of each veth once the MTU of this end is known: by default
    /// the same MTU.
    pub(crate) fn settle_pods(&mut self, host: &Snapshot) {
        let leave = |name: &LinkName| matches!(self.pods.get(name), Some(wish) if wish.mtu == PodMtu::Leave);
        let has_pod = |name: &LinkName| host.links.get(name).is_some_and(|link| link.has_pod_end());
        let same: Vec<(Fact, Want)> = self
            .facts
            .iter()
            .filter(|(fact, _)| fact.field == Field::Mtu && matches!(fact.object, Object::Link(_)))
            .filter(|(fact, _)| {
                fact.link_name()
                    .is_some_and(|name| !leave(&name) && has_pod(&name))
            })
            .map(|(fact, want)| (fact.clone(), want.clone()))
            .collect();
        let mut settled = std::collections::BTreeSet::new();
        for (fact, want) in same {
            let Some(name) = fact.link_name() else { continue };
            let wish = self.pods.get(&name).cloned();
            let follows = !matches!(&wish, Some(wish) if matches!(wish.mtu, PodMtu::Bytes(_)));
            if wish.is_some() {
                settled.insert(name);
            }
            let (value, want) = match wish {
                Some(PodMtuRequest {
                    mtu: PodMtu::Bytes(bytes),
                    origin,
                }) => {
                    let origin = Origin {
                        span: origin.span,
                        section: origin.section,
                        path: origin.path.clone(),
                        ..(*want.origin).clone()
                    };
                    let value = Value::Number(bytes);
                    (value.clone(), Want::new(value, origin))
                }
                _ => (want.value.clone(), want),
            };
            self.want_of_pod(&fact, name, value, want, follows, host);
        }
        // Requests without a wanted MTU of this end: its current MTU counts.
        for (name, wish) in std::mem::take(&mut self.pods) {
            if wish.mtu == PodMtu::Leave {
                continue;
            }
            let Some(link) = host.links.get(&name).filter(|_| !settled.contains(&name)) else {
                continue;
            };
            let value = match wish.mtu {
                PodMtu::Leave => continue,
                PodMtu::Same => i64::from(link.mtu),
                PodMtu::Bytes(bytes) => bytes,
            };
            let origin = Origin {
                span: wish.origin.span,
                section: wish.origin.section,
                path: wish.origin.path.clone(),
                ..Origin::default()
            };
            let want = Want::new(Value::Number(value), origin);
            let fact = Fact::link(&host.netns, name, Field::Mtu);
            self.want_of_pod(&fact, name, Value::Number(value), want, false, host);
        }
    }

    /// `follows`: the pod's end must equal this one, so neither is written without the other.
    fn want_of_pod(
        &mut self,
        fact: &Fact,
        name: LinkName,
        value: Value,
        want: Want,
        follows: bool,
        host: &Snapshot,
    ) {
        let Some(link) = host.links.get(&name).filter(|link| link.has_pod_end()) else {
            return;
        };
        let of = |field: Field| Fact {
            field,
            ..fact.clone()
        };
        let want = |value: Value| Want {
            value,
            ..want.clone()
        };
        let Some(pod) = &link.pod else {
            // Wanted anyway, so that the plan reports that it could not be read.
            self.add(of(Field::PodMtu), want(value));
            return;
        };
        let left_alone = match value {
            Value::Number(mtu) => pod.left_alone_at(mtu),
            _ => pod.left_alone(),
        };
        if let Some((why, remedy)) = left_alone {
            let Value::Number(mtu) = value else { return };
            if pod.goes_with(mtu) {
                return;
            }
            let is = pod.largest_packet();
            let mut message = match i64::from(is) > mtu {
                true => format!("packets of up to {is} leave the pod"),
                false => format!("the pod takes packets of up to {}", pod.mtu),
            };
            let _ = write!(message, ", but netkeel does not change it: {why}");
            let withheld = match follows {
                true => self.facts.remove(&of(Field::Mtu)),
                false => None,
            };
            if withheld.is_some() && i64::from(link.mtu) != mtu {
                let _ = write!(
                    message,
                    "; {mtu} on this end alone would black-hole packets, so it is not set"
                );
            }
            self.findings.add(Code::NK045, name, message, remedy);
            let left = SkippedPod {
                pod_mtu: mtu,
                withheld,
            };
            self.left_alone.insert(name, left);
            return;
        }
        if let Value::Number(mtu) = value {
            for (destination, route) in &pod.routes {
                if i64::from(route.mtu) > mtu {
                    self.add(of(Field::PodRouteMtu(*destination)), want(Value::Number(mtu)));
                }
            }
        }
        self.add(of(Field::PodMtu), want(value));
    }
}

#[cfg(test)]
mod tests {
    use crate::document::Document;
    use netkeel_core::name::netns::Netns;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    #[test]
    fn pods_are_read_unless_all_that_have_an_mtu_leave_them() {
        let reads_pods = |links: &str| {
            let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
            let text = format!("version: 1\nlink:\n{links}");
            let node = sources.load("a.yaml", text.into_bytes(), None, &mut diagnostics);
            let document = Document::read(node.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
            document.scope().pods
        };
        let all = "  all-pods: { match: { name: \"cali*\" }, mtu: 1460, pod_mtu: leave }\n";
        assert!(!reads_pods(all));
        assert!(!reads_pods("  eth0: { rp_filter: strict }\n"));
        for follows in [
            "mtu: 1400",
            "pod_mtu: same",
            "pod_mtu: 1400",
            "mtu: 1400, pod_mtu: same",
        ] {
            assert!(
                reads_pods(&format!("{all}  cali1: {{ {follows} }}\n")),
                "{follows}"
            );
        }
    }
}
