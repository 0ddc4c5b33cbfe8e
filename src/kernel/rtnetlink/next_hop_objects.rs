//! Objects of next hops over rtnetlink (`ip nexthop`): where `net.ipv4.nexthop_compat_mode` is 0, a route names its
//! next hops by the number of such an object alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::netlink::message::{Attributes, Malformed, Message, Request, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{ATTEMPTS, Dump, Socket};

/// RTM_NEWNEXTHOP and RTM_GETNEXTHOP (include/uapi/linux/rtnetlink.h).
const NEW: u16 = 104;
const GET: u16 = 106;

/// `struct nhmsg`, bytes (include/uapi/linux/nexthop.h).
const FIXED: usize = 8;

/// NHA_ID, NHA_GROUP and NHA_OIF.
const ID: u16 = 1;
const GROUP: u16 = 2;
const INTERFACE: u16 = 5;

/// `struct nexthop_grp`, bytes.
const MEMBER: usize = 8;

/// The objects by their numbers.
#[derive(Debug, Default)]
struct Objects {
    interfaces: BTreeMap<u32, u32>,
    groups: BTreeMap<u32, Vec<u32>>,
}

/// The indices of the interfaces of these objects, and of the members of groups among them.
pub(crate) fn interfaces(socket: &mut Socket, numbers: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Refusal> {
    let mut objects = Objects::default();
    for _ in 0..ATTEMPTS {
        let request = Request::new(GET, (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16, &[0; FIXED]);
        if socket.exchange(request, |message| objects.read(&message))? == Dump::Whole {
            break;
        }
    }
    Ok(objects.interfaces_of(numbers))
}

impl Objects {
    fn read(&mut self, message: &Message<'_>) -> Result<(), Malformed> {
        if message.kind != NEW {
            return Ok(());
        }
        let (mut id, mut interface, mut members) = (None, None, None);
        for attribute in Attributes::after(message.payload, FIXED)? {
            let attribute = attribute?;
            match attribute.kind {
                ID => id = Some(attribute.u32()?),
                INTERFACE => interface = Some(attribute.u32()?),
                GROUP => {
                    let list = attribute.value.chunks(MEMBER);
                    members = Some(list.filter_map(|member| u32_at(member, 0)).collect());
                }
                _ => {}
            }
        }
        let id = id.ok_or(Malformed("next hop"))?;
        self.interfaces.extend(interface.map(|index| (id, index)));
        self.groups.extend(members.map(|members| (id, members)));
        Ok(())
    }

    fn interfaces_of(&self, numbers: &BTreeSet<u32>) -> BTreeSet<u32> {
        let members = |number: &u32| match self.groups.get(number) {
            Some(members) => members.clone(),
            None => vec![*number],
        };
        let single = numbers.iter().flat_map(members);
        // One that drops packets has no interface.
        single
            .filter_map(|number| self.interfaces.get(&number).copied())
            .collect()
    }
}
