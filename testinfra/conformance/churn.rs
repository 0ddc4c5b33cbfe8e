//! Snapshots while interfaces and addresses come and go: dumps are torn, and what stays is in every
//! snapshot.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::namespace::Namespace;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;

/// Veths that stay: enough for a dump to need several parts.
const STAY: usize = 200;

/// Veths that come meanwhile. Making one takes less time than reading those that stay.
const COME: usize = 400;

#[test]
fn what_stays_is_in_every_snapshot() {
    let namespace = Namespace::make();
    let mut stays = String::new();
    for pair in 0..STAY {
        writeln!(stays, "link add sa{pair} type veth peer name sb{pair}").unwrap();
        writeln!(stays, "addr add 10.0.{pair}.1/24 dev sa{pair}").unwrap();
    }
    namespace.ip(&stays);
    let mut comes = String::new();
    for pair in 0..COME {
        writeln!(comes, "link add ca{pair} type veth peer name cb{pair}").unwrap();
        writeln!(comes, "addr add 10.1.0.1/24 dev ca{pair}").unwrap();
        writeln!(comes, "addr del 10.1.0.1/24 dev ca{pair}").unwrap();
    }
    let scope = Scope {
        families: Families {
            ipv4: true,
            ipv6: true,
        },
        ..Scope::default()
    };
    let goes: String = (0..COME).map(|pair| format!("link del ca{pair}\n")).collect();
    let (done, enough) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|threads| {
        threads.spawn(|| {
            namespace.ip(&comes);
            // A busy machine may need more time for the looks.
            while !enough.load(Ordering::Relaxed) {
                namespace.ip(&goes);
                namespace.ip(&comes);
            }
            done.store(true, Ordering::Relaxed);
        });
        let looking = Live::with(&namespace.netns(), |kernel| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = kernel.snapshot(&scope).map_err(|error| error.message)?;
                if !seen.problems.is_empty() {
                    return Err(format!("{:?}", seen.problems));
                }
                let there = |name: String| seen.links.get(&name.parse().unwrap());
                for pair in 0..STAY {
                    let address = format!("10.0.{pair}.1/24").parse().unwrap();
                    let bears =
                        there(format!("sa{pair}")).is_some_and(|link| link.addresses.contains(&address));
                    if !bears || there(format!("sb{pair}")).is_none() {
                        return Err(format!("look {looks}: the pair {pair} is not whole"));
                    }
                }
                looks += 1;
                if looks > 2 {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        enough.store(true, Ordering::Relaxed);
        looking.unwrap().unwrap();
    });
}
