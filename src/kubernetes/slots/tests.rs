//! Tests of the parts that need no control plane.

use serde_json::json;
use tokio::sync::mpsc::channel;
use tokio::sync::watch;

use super::*;
use crate::trouble::server::{Answer, Server, refused};

#[test]
fn the_server_remembers_that_a_change_failed() {
    let holder = |phase: Phase, document: &str, generation: Option<i64>| Holder {
        node: "n1".to_owned(),
        uid: "u1".to_owned(),
        phase,
        document: document.to_owned(),
        generation,
    };
    let wanted = holder(Phase::Taken, "d1", Some(3));
    for (there, failed) in [
        (holder(Phase::Failed, "d1", Some(3)), true),
        (holder(Phase::Failed, "d1", Some(2)), false),
        (holder(Phase::Failed, "d2", Some(3)), false),
        // An older agent wrote it: any edit since counts.
        (holder(Phase::Failed, "d1", None), false),
        (holder(Phase::Begun, "d1", Some(3)), false),
    ] {
        assert_eq!(has_failed(&there, &wanted), failed, "{there:?}");
    }
}

#[test]
fn the_reason_to_wait_stays_the_same_while_other_nodes_change() {
    let text = |held: usize, failed: usize, silent: usize| {
        waiting(Counts {
            allowed: 3,
            held,
            failed,
            silent,
        })
    };
    assert_eq!(text(1, 0, 0), "other nodes change; at most 3 may");
    assert_eq!(text(1, 0, 0), text(3, 0, 0));
    let both = "other nodes change; at most 3 may; the change failed on 2; no report from 1";
    assert_eq!(text(3, 2, 1), both);
}

#[test]
fn what_was_read_of_the_own_lease_is_kept_after_a_refusal() {
    let mut beats = 0;
    let server = Server::start(move |request| match request {
        "get n1" => Answer::Is(
            404,
            json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": "no" }),
        ),
        "get leases" => Answer::Is(
            200,
            json!({ "metadata": { "resourceVersion": "9" }, "items": [] }),
        ),
        _ => {
            beats += 1;
            match beats {
                1 | 3 => refused(),
                _ => Answer::Is(
                    200,
                    json!({ "metadata": { "name": "n1", "resourceVersion": "7" } }),
                ),
            }
        }
    });
    let pace = Pace {
        renew: Duration::from_secs(1),
        ..Pace::default()
    };
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(async {
        let (_wishes, wanted) = watch::channel(Some(Wishes::default()));
        let (news, mut told) = channel(1);
        let connection = Connection::Kubeconfig(server.kubeconfig());
        tokio::spawn(hold_slots(connection, "n1".to_owned(), pace, 0.0, wanted, news));
        tokio::spawn(async move { while told.recv().await.is_some() {} });
        let end = Instant::now() + Duration::from_secs(100);
        let own = || {
            server
                .asked()
                .into_iter()
                .filter(|request| !request.ends_with("get leases"))
        };
        while own().count() < 5 {
            assert!(Instant::now() < end, "{:?}", server.asked());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let own: Vec<String> = own().take(5).collect();
        assert_eq!(own, ["get n1", "post leases", "post leases", "put n1", "put n1"]);
    });
}
