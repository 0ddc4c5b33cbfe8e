//! Next hop objects (`ip nexthop`). Where `net.ipv4.nexthop_compat_mode` is 0, a route names its object and no interface.

use std::collections::BTreeMap;
use std::net::IpAddr;

use nix::errno::Errno;

use crate::netlink::message::{Attributes, Malformed, Message, Request, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;

/// RTM_NEWNEXTHOP, RTM_GETNEXTHOP (include/uapi/linux/rtnetlink.h).
const NEW: u16 = 104;
const GET: u16 = 106;

/// `struct nhmsg`, bytes (include/uapi/linux/nexthop.h).
const FIXED: usize = 8;

/// `struct nexthop_grp`, bytes; it begins with the id of a member.
const MEMBER: usize = 8;

/// NHA_ID, NHA_GROUP, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY.
const ID: u16 = 1;
const GROUP: u16 = 2;
const BLACKHOLE: u16 = 4;
const OIF: u16 = 5;
const GATEWAY: u16 = 6;

/// Where an object leads: an interface, and the router, if there is one.
pub(crate) type Way = (u32, Option<IpAddr>);

/// The objects of a namespace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Objects(BTreeMap<u32, Object>);

#[derive(Debug, PartialEq, Eq)]
enum Object {
    Blackhole,
    One(Way),
    Group(Vec<u32>),
}

impl Objects {
    /// Reads all objects. Linux before 5.3 has none.
    pub(crate) fn read(socket: &mut Socket) -> Result<Self, Refusal> {
        let mut found = Objects::default();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let read = socket.exchange(Request::new(GET, flags, &[0; FIXED]), |message| {
            found.add(&message)
        });
        match read {
            Ok(_) => Ok(found),
            Err(refusal) if refusal.errno == Errno::EOPNOTSUPP => Ok(found),
            Err(refusal) => Err(refusal),
        }
    }

    fn add(&mut self, message: &Message<'_>) -> Result<(), Malformed> {
        if message.kind != NEW {
            return Ok(());
        }
        let (mut id, mut oif, mut router, mut members, mut blackhole) = (None, None, None, None, false);
        for attribute in Attributes::after(message.payload, FIXED)? {
            let attribute = attribute?;
            match attribute.kind {
                ID => id = Some(attribute.u32()?),
                OIF => oif = Some(attribute.u32()?),
                BLACKHOLE => blackhole = true,
                GATEWAY => {
                    router = match *attribute.value {
                        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
                        _ => <[u8; 16]>::try_from(attribute.value).ok().map(IpAddr::from),
                    }
                }
                GROUP => {
                    let ids = attribute.value.chunks_exact(MEMBER);
                    members = Some(ids.filter_map(|member| u32_at(member, 0)).collect());
                }
                _ => {}
            }
        }
        let object = match (members, oif) {
            (Some(members), _) => Object::Group(members),
            (None, Some(index)) => Object::One((index, router)),
            (None, None) if blackhole => Object::Blackhole,
            // One over what netkeel does not know is no object that it could follow.
            (None, None) => return Ok(()),
        };
        let id = id.ok_or(Malformed("next hop object"))?;
        self.0.insert(id, object);
        Ok(())
    }

    /// Where an object leads, each member of a group by itself; nowhere by a blackhole.
    ///
    /// # Errors
    /// [`Errno::ENOENT`] when the object, or a member of the group, is not known.
    pub(crate) fn ways(&self, id: u32) -> Result<Vec<Way>, Refusal> {
        let unknown = |id: u32| Refusal {
            errno: Errno::ENOENT,
            text: Some(format!(
                "a route leads by the next hop object {id}, which is not known"
            )),
        };
        match self.0.get(&id) {
            None => Err(unknown(id)),
            Some(Object::Blackhole) => Ok(Vec::new()),
            Some(Object::One(way)) => Ok(vec![*way]),
            // A group has no groups as members (`nh_create_group`, net/ipv4/nexthop.c).
            Some(Object::Group(members)) => {
                let mut ways = Vec::new();
                for member in members {
                    match self.0.get(member) {
                        Some(Object::One(way)) => ways.push(*way),
                        Some(Object::Blackhole) => {}
                        Some(Object::Group(_)) | None => return Err(unknown(*member)),
                    }
                }
                Ok(ways)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(objects: &mut Objects, id: u32, attributes: &[(u16, &[u8])]) {
        let mut request = Request::new(NEW, 0, &[0; FIXED]).attribute(ID, &id.to_ne_bytes());
        for (kind, value) in attributes {
            request = request.attribute(*kind, value);
        }
        let payload = request.body().to_vec();
        let message = Message {
            kind: NEW,
            flags: 0,
            sequence: 1,
            payload: &payload,
        };
        objects.add(&message).unwrap();
    }

    #[test]
    fn an_object_leads_by_its_interface_a_group_by_those_of_its_members() {
        let mut objects = Objects::default();
        let index = |index: u32| index.to_ne_bytes();
        add(&mut objects, 1, &[(OIF, &index(7)), (GATEWAY, &[192, 0, 2, 1])]);
        let mut v6 = [0; 16];
        v6[15] = 1;
        add(&mut objects, 2, &[(OIF, &index(8)), (GATEWAY, &v6)]);
        add(&mut objects, 3, &[(BLACKHOLE, &[])]);
        let member = |id: u32| [&id.to_ne_bytes()[..], &[0; 4]].concat();
        add(
            &mut objects,
            4,
            &[(GROUP, &[member(1), member(2), member(3)].concat())],
        );
        add(&mut objects, 5, &[(GROUP, &member(9))]);
        let first = (7, Some(IpAddr::from([192, 0, 2, 1])));
        let second = (8, Some(IpAddr::from(v6)));
        assert_eq!(objects.ways(1), Ok(vec![first]));
        assert_eq!(objects.ways(3), Ok(Vec::new()));
        assert_eq!(objects.ways(4), Ok(vec![first, second]));
        // Unknown is not "nowhere".
        for id in [5, 6] {
            assert_eq!(objects.ways(id).unwrap_err().errno, Errno::ENOENT);
        }
    }
}
